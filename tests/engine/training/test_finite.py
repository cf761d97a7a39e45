from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from segbench.engine.model.network import Segmenter
from segbench.engine.training.loop import train
from segbench.errors import CellError

from .short import NEVER


@dataclass
class FromPlugin:
    """A loss whose plugin is known."""

    component: str
    function: Any

    def __call__(self, output, target):
        return self.function(output, target)


class Poisoned(torch.nn.Conv2d):
    """A network of the plugin `bad` whose output is NaN from one of its training steps on, counted from 1."""

    def __init__(self, since):
        super().__init__(3, 2, 1)
        self.since, self.steps = since, 0

    def forward(self, images):
        self.steps += 1
        return super().forward(images) * (math.nan if self.steps >= self.since else 1.0)


@pytest.fixture
def failure(training, recorder, tmp_path):
    """Train until the loss is not finite; returns the error."""

    def failure(**changes):
        with pytest.raises(CellError) as caught:
            train(replace(training(), **changes), tmp_path / "checkpoint", NEVER, recorder())
        return caught.value

    return failure


def test_a_first_output_that_is_not_finite_is_its_plugins_fault(failure):
    error = failure(network=Segmenter(Poisoned(1), 2, "bad/network"))
    assert "the output of generator bad/network is not finite since step 1;" in str(error)
    assert error.plugin == "bad"


def test_a_later_output_is_named_but_training_may_have_diverged(failure):
    error = failure(network=Segmenter(Poisoned(4), 2, "bad/network"))
    assert "the output of generator bad/network is not finite since step 4, and all was finite before;" in str(error)
    assert error.plugin is None


def test_a_loss_of_a_finite_output_is_its_plugins_fault(failure):
    good = FromPlugin("good/mean", lambda output, target: output.mean())
    bad = FromPlugin("bad/root", lambda output, target: (output.mean() * 0 - 1).sqrt())
    error = failure(losses=[(1.0, good), (0.5, bad)])
    assert "loss bad/root is not finite since step 1, of a finite output;" in str(error)
    assert error.plugin == "bad"


def test_a_weight_that_is_too_large_is_no_plugins_fault(failure):
    error = failure(losses=[(1e39, FromPlugin("good/mean", lambda output, target: output.square().mean()))])
    assert "each loss is finite, but their weighted sum is not;" in str(error)
    assert error.plugin is None


def test_an_adversarial_loss_is_named(failure, adversary, training):
    class Broken:
        def discriminator(self, real, fake):
            return real - fake

        def generator(self, fake):
            return fake * math.nan

    discriminator = adversary(training().protocol, loss=Broken())
    assert "the adversarial loss test/loss is not finite since step 1, of a finite" in str(
        failure(adversary=discriminator)
    )
