"""Each check of a generator's state catches a wrong generator that no other check of generators catches."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from segbench.testing.generator_state import CHECKS

from .trial_generators import Plain, failed

if TYPE_CHECKING:
    from torch import Tensor


class Benchmarking(Plain):
    def forward(self, images: Tensor) -> Any:
        torch.backends.cudnn.benchmark = True
        return super().forward(images)


def build_on_few_threads(in_channels, num_classes):
    torch.set_num_threads(torch.get_num_threads() + 1)
    return Plain(in_channels, num_classes)


def build_with_pythons_dice(in_channels, num_classes):
    random.random()
    return Plain(in_channels, num_classes)


def build_with_a_seed_of_its_own(in_channels, num_classes):
    torch.manual_seed(42)
    return Plain(in_channels, num_classes)


class Reseeding(Plain):
    def forward(self, images: Tensor) -> Any:
        if self.training:
            torch.manual_seed(42)
        return super().forward(images)


def build_with_chance(in_channels, num_classes):
    network, generator = Plain(in_channels, num_classes), torch.Generator()
    generator.seed()
    nn.init.normal_(network.head.bias, generator=generator)
    return network


SHARED = nn.PReLU()


class Sharing(Plain):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.slope = SHARED

    def forward(self, images: Tensor) -> Any:
        return super().forward(self.slope(images))


class Unregistered(Plain):
    """Holds a constant, drawn at random, that is no buffer."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.offset = torch.randn(()).item()

    def forward(self, images: Tensor) -> Any:
        return super().forward(images + self.offset)


class Sharpened(Plain):
    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return logits if self.training else 2 * logits


class Noisy(Plain):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images) + 0.01 * torch.randn((), device=images.device)


class Counting(Plain):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, images: Tensor) -> Any:
        self.runs += 1
        return super().forward(images)


class Waking(Plain):
    """Turns a layer back to training."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes)
        self.last = nn.Identity()

    def forward(self, images: Tensor) -> Any:
        self.last.train()
        return super().forward(images)


WRONG: list[tuple[str, Any]] = [
    ("settings_of_the_process_are_left_alone", Benchmarking),
    ("settings_of_the_process_are_left_alone", build_on_few_threads),
    ("random_numbers_come_from_torch", build_with_pythons_dice),
    ("torch_is_not_reseeded", build_with_a_seed_of_its_own),
    ("torch_is_not_reseeded", Reseeding),
    ("same_seed_gives_same_weights", build_with_chance),
    ("builds_share_no_weights", Sharing),
    ("weights_carry_the_whole_function", Unregistered),
    ("training_and_evaluation_differ_by_dropout_and_norms_only", Sharpened),
    ("evaluation_is_deterministic", Noisy),
    ("evaluation_changes_nothing", Counting),
    ("evaluation_changes_nothing", Waking),
]


@pytest.mark.parametrize(("check", "build"), WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_one_check_alone_catches_a_wrong_generator(check, build):
    assert list(failed(build)) == [check]


def test_every_check_has_a_wrong_generator():
    assert {check.name for check in CHECKS} == {name for name, _ in WRONG}
