"""Each check of discriminators catches a wrong one that no other check catches; right ones pass all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from segbench.testing.check import run_check
from segbench.testing.discriminators import CHECKS, scores_are_unbounded

from .conftest import make_offer

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 8


class Plain(nn.Module):
    """Two convolutions, the second of which scores."""

    def __init__(self, in_channels: int, scores: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, WIDTH, 4, stride=2, padding=1)
        self.head = nn.Conv2d(WIDTH, scores, 3, padding=1)

    def features(self, x: Tensor) -> Any:
        return [functional.leaky_relu(self.first(x), 0.2)]

    def forward(self, x: Tensor) -> Any:
        return self.head(self.features(x)[-1])


class BatchNormed(Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.norm = nn.BatchNorm2d(WIDTH)

    def features(self, x: Tensor) -> Any:
        return [self.norm(self.first(x))]


class Multiscale(Plain):
    def forward(self, x: Tensor) -> Any:
        return [super().forward(x), super().forward(functional.avg_pool2d(x, 2))]


class WithoutFeatures(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.critic = nn.utils.parametrizations.spectral_norm(nn.Conv2d(in_channels, 1, 3))

    def forward(self, x: Tensor) -> Any:
        return functional.dropout(self.critic(x), 0.1, self.training)


class PixelClasses(Plain):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes + 1)


class ScoresWithoutMaps(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).mean((1, 2, 3))


class TwoScores(Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, scores=2)


class EvenSizes(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) + functional.pixel_unshuffle(x, 2).mean(1, keepdim=True)


class Squeezing(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).squeeze(0)


class Sigmoid(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).sigmoid()


class EndsInTanh(Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.end = nn.Tanh()

    def forward(self, x: Tensor) -> Any:
        return self.end(super().forward(x))


class MixesSamples(Plain):
    def features(self, x: Tensor) -> Any:
        return [functional.batch_norm(self.first(x), None, None, training=True)]


class Detached(Plain):
    def features(self, x: Tensor) -> Any:
        return super().features(torch.cat([x[:, :-1], x[:, -1:].detach()], dim=1))


class Unused(Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.unused = nn.Linear(2, 2)


class OneFeature(Plain):
    def features(self, x: Tensor) -> Any:
        return super().features(x)[0]

    def forward(self, x: Tensor) -> Any:
        return self.head(self.features(x))


class OwnRandomNumbers(Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        nn.init.constant_(self.head.bias, random.random())


class PlainAttribute(Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.gain = 1 + float(torch.rand(()))

    def forward(self, x: Tensor) -> Any:
        return self.gain * super().forward(x)


class Views(Plain):
    def forward(self, x: Tensor) -> Any:
        return self.features(x)[-1].view(len(x), -1).mean(1)[:, None, None, None] + super().forward(x)


class MixedTypes(Plain):
    def features(self, x: Tensor) -> Any:
        hidden = self.first(x)
        return [torch.zeros(hidden.shape, device=x.device).index_add(0, torch.arange(len(x), device=x.device), hidden)]


class OnTheCPU(Plain):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) + torch.ones(1)


@pytest.mark.parametrize("right", [Plain, BatchNormed, Multiscale, WithoutFeatures])
def test_a_right_discriminator_passes_every_check(right, found_by):
    assert found_by(CHECKS, "discriminator", lambda in_channels: right(in_channels)) == []


def test_a_discriminator_of_pixel_classes_passes_every_check(found_by):
    assert (
        found_by(CHECKS, "discriminator", lambda in_channels, num_classes: PixelClasses(in_channels, num_classes)) == []
    )


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (ScoresWithoutMaps, "scores_are_maps"),
        (TwoScores, "scores_are_maps"),
        (EvenSizes, "odd_sizes_are_scored"),
        (Squeezing, "one_sample_is_scored"),
        (Sigmoid, "scores_are_unbounded"),
        (EndsInTanh, "scores_are_unbounded"),
        (MixesSamples, "samples_are_scored_each_by_itself"),
        (Detached, "gradients_reach_every_channel_of_the_input"),
        (Unused, "training_reaches_every_parameter"),
        (OneFeature, "features_are_a_list_of_tensors_of_each_sample"),
        (OwnRandomNumbers, "same_seed_gives_same_weights"),
        (PlainAttribute, "weights_carry_the_whole_function"),
        (Views, "channels_last_will_do"),
        (MixedTypes, "bfloat16_will_do"),
        (OnTheCPU, "network_stays_on_its_device"),
    ],
)
def test_a_wrong_discriminator_is_caught_by_one_check_alone(wrong, check, found_by):
    assert found_by(CHECKS, "discriminator", lambda in_channels: wrong(in_channels)) == [check]


def test_the_module_that_bounds_scores_is_named():
    offer = make_offer("discriminator", lambda in_channels: EndsInTanh(in_channels))
    result = run_check(scores_are_unbounded, offer)
    assert result.message.endswith("look at end")
