"""What supervised losses compare: logits with labels, or images with images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

from segbench.spec.maps import CLASSIFYING_MAPS

from .example_inputs import IGNORE_INDEX, IMAGE_CHANNELS, NUM_CLASSES, normal

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.registry import Offer

# Of logits: one of them is high enough for a loss that is least at certainty, one low enough for smoothed labels.
CONFIDENCES = (1.0, 2.0, 4.0, 8.0, 16.0)


class Comparison(Protocol):
    """What a loss compares; `ignored` (N, 1, H, W) tells the pixels of `target` that do not count."""

    ignored: Tensor

    @property
    def target(self) -> Tensor:
        """What the loss is given."""

    def output(self, seed: int) -> Tensor:
        """Return a random output."""

    def outputs_that_show(self, mistaken: Tensor) -> list[Tensor]:
        """Return outputs that show the truth, but something else where pixels (N, 1, H, W) are mistaken."""


class LogitsAndLabels:
    """Logits (N, K, H, W) and labels (N, H, W)."""

    def __init__(self, number: int, height: int, width: int, ignored_share: float) -> None:
        # Every class occurs, and neighbours differ.
        self._truth = torch.arange(number * height * width).mul(3).remainder(NUM_CLASSES).view(number, height, width)
        self.ignored = _some(number, height, width, ignored_share)

    @property
    def target(self) -> Tensor:
        """The labels, new at every call: a loss that writes to them spoils nothing else."""
        return self._truth.masked_fill(self.ignored[:, 0], IGNORE_INDEX)

    def output(self, seed: int) -> Tensor:
        """Return random logits."""
        number, height, width = self._truth.shape
        return normal(number, NUM_CLASSES, height, width, seed=seed)

    def outputs_that_show(self, mistaken: Tensor) -> list[Tensor]:
        """Return logits that show the truth, but the next class where mistaken, more and more surely."""
        shown = torch.where(mistaken[:, 0], (self._truth + 1) % NUM_CLASSES, self._truth)
        one_hot = functional.one_hot(shown, NUM_CLASSES).movedim(-1, 1).float()
        return [confidence * (2 * one_hot - 1) for confidence in CONFIDENCES]


class Images:
    """Images (N, C, H, W) in [-1, 1], NaN where the target is unknown."""

    def __init__(self, number: int, height: int, width: int, ignored_share: float) -> None:
        self._truth = normal(number, IMAGE_CHANNELS, height, width, seed=99).clamp(-1, 1)
        self.ignored = _some(number, height, width, ignored_share)

    @property
    def target(self) -> Tensor:
        """The target image."""
        return self._truth.masked_fill(self.ignored, float("nan"))

    def output(self, seed: int) -> Tensor:
        """Return a random image."""
        return normal(*self._truth.shape, seed=seed).clamp(-1, 1)

    def outputs_that_show(self, mistaken: Tensor) -> list[Tensor]:
        """Return the truth, but its negative where mistaken."""
        return [torch.where(mistaken, -self._truth, self._truth)]


def comparison(
    offer: Offer, *, number: int = 2, height: int = 9, width: int = 7, ignored_share: float = 0.25
) -> Comparison:
    """Return what the loss compares: labels unless its `maps` makes images."""
    kind = LogitsAndLabels if offer.component.maps in CLASSIFYING_MAPS else Images
    return kind(number, height, width, ignored_share)


def _some(number: int, height: int, width: int, share: float) -> Tensor:
    """Return a mask (N, 1, H, W) of about so large a share of the pixels."""
    places = torch.rand(number, 1, height, width, generator=torch.Generator().manual_seed(5))
    return places < share
