"""Short trainings to their end, and the comparison of what they learnt bit by bit."""

from __future__ import annotations

from dataclasses import replace

import torch

from segbench.engine.training.loop import train
from segbench.engine.training.setup import Unlabelled

NEVER = 1e9


def trained(training, recorder, path, term=None, **settings):
    """Return a training after its end and its outcome; `term` is a loss of the logits of unlabelled images."""
    made = training(**settings)
    if term is not None:
        made = replace(made, unlabelled=Unlabelled(made.batches, term))
    outcome = train(made, path, NEVER, recorder())
    return made, outcome


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def entropy(logits: torch.Tensor, batch) -> torch.Tensor:
    """Return the mean entropy of predictions, a loss that needs no labels."""
    return torch.special.entr(logits.softmax(1)).sum(1).mean()
