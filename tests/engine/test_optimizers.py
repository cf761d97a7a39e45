from __future__ import annotations

import pytest
import torch

from segbench.engine.optimizers import build_optimizer, set_learning_rate
from segbench.spec.protocol import Optimizer


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([1.0, -2.0]))


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (Optimizer(use="adamw", lr=0.1), lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01)),
        (Optimizer(use="adam", lr=0.1, betas=(0.5, 0.999)), lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.999))),
        (Optimizer(use="sgd", lr=0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (Optimizer(use="rmsprop", lr=0.1, weight_decay=0.1), lambda p: torch.optim.RMSprop(p, 0.1, weight_decay=0.1)),
    ],
    ids=["adamw", "adam", "sgd", "rmsprop"],
)
def test_steps_equal_those_of_torch(settings, reference):
    ours, theirs = parameter(), parameter()
    optimizers = build_optimizer(settings, [ours]), reference([theirs])
    for value, optimizer in zip((ours, theirs), optimizers, strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            (value**2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_frozen_parameters_are_left_out():
    frozen = parameter().requires_grad_(False)
    optimizer = build_optimizer(Optimizer(), [parameter(), frozen])
    assert len(optimizer.param_groups[0]["params"]) == 1


def test_the_learning_rate_is_set_in_every_group():
    optimizer = torch.optim.SGD([{"params": [parameter()]}, {"params": [parameter()]}], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
