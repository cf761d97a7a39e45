"""Inputs for checks of losses and discriminators, and how checks build and call components."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn import functional

from segbench.config.recipe import CLASSIFYING_MAPS
from segbench.registry.options import build

from .check import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Set

    from torch import Tensor

    from segbench.registry import Offer


NUM_CLASSES = 4
IMAGE_CHANNELS = 3

# Neither 255 nor -100, which a loss might take for granted.
IGNORE_INDEX = 17

# A score far beyond those of training, where a loss that is not written with care overflows.
HUGE_SCORE = 1e4

LOSS_VOCABULARY = {"num_classes": NUM_CLASSES, "ignore_index": IGNORE_INDEX}


def build_example(offer: Offer, vocabulary: Mapping[str, Any], seed: int = 0) -> Any:
    """Build a component with its example options, its weights drawn from the seed."""
    torch.manual_seed(seed)
    return build(offer, vocabulary, offer.component.example_options)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers, float32, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def prefix_errors(what: str) -> Iterator[None]:
    """Put what a component was given in front of the message of any error that it raises."""
    try:
        yield
    except (CheckFailed, CheckSkipped):
        raise
    except Exception as error:
        raise CheckFailed(f"{what}: {type(error).__name__}: {error}") from error


def require_finite(tensors: Mapping[str, Tensor | None]) -> None:
    """Raise CheckFailed naming the first tensor that holds NaN or infinity; None stands for no gradient at all."""
    for what, tensor in tensors.items():
        if tensor is not None and not tensor.isfinite().all():
            raise CheckFailed(f"{what} holds NaN or infinity")


def require_scalar(value: Any) -> None:
    """Raise CheckFailed unless a loss returned a tensor without dimensions."""
    if not isinstance(value, torch.Tensor) or value.ndim != 0:
        found = f"a tensor {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise CheckFailed(f"returned {found}; expected a scalar tensor")


def describe_unavailable(function: Callable[..., Any], available: Set[str]) -> str | None:
    """Say which parameters without a default are not available; None if there are none."""
    parameters = inspect.signature(function).parameters.values()
    missing = {one.name for one in parameters if one.default is one.empty} - available
    return f"asks for {', '.join(sorted(missing))}; available are {', '.join(sorted(available))}" if missing else None


def as_number(value: Any) -> float:
    """Return what a loss returned as one number, whatever its shape."""
    return float(torch.as_tensor(value).detach().sum())


def as_list(output: Any) -> list[Tensor]:
    """Return what a component returned, a tensor or several, as a list."""
    return list(output) if isinstance(output, (list, tuple)) else [output]


# What supervised losses compare: logits with labels, or images with images.

# Of logits: the highest suits losses that are least at certainty, a low one suits smoothed labels.
CONFIDENCES = (1.0, 2.0, 4.0, 8.0, 16.0)


class Comparison(Protocol):
    """What a loss compares; `ignored` (N, 1, H, W) marks the pixels of `target` that do not count."""

    ignored: Tensor

    @property
    def target(self) -> Tensor:
        """What the loss is given."""

    def output(self, seed: int) -> Tensor:
        """Return a random output."""

    def outputs_predicting(self, mistaken: Tensor) -> list[Tensor]:
        """Return outputs that predict the truth, but something else where pixels (N, 1, H, W) are mistaken."""


class LogitsAndLabels:
    """Logits (N, K, H, W) and labels (N, H, W)."""

    def __init__(self, number: int, height: int, width: int, ignored_share: float) -> None:
        # Every class occurs, and neighbours differ.
        self._truth = torch.arange(number * height * width).mul(3).remainder(NUM_CLASSES).view(number, height, width)
        self.ignored = _random_mask(number, height, width, ignored_share)

    @property
    def target(self) -> Tensor:
        """The labels, new at every call: a loss that writes to them spoils nothing else."""
        return self._truth.masked_fill(self.ignored[:, 0], IGNORE_INDEX)

    def output(self, seed: int) -> Tensor:
        """Return random logits."""
        number, height, width = self._truth.shape
        return normal(number, NUM_CLASSES, height, width, seed=seed)

    def outputs_predicting(self, mistaken: Tensor) -> list[Tensor]:
        """Return logits that predict the truth, but the next class where mistaken, with rising confidence."""
        shown = torch.where(mistaken[:, 0], (self._truth + 1) % NUM_CLASSES, self._truth)
        one_hot = functional.one_hot(shown, NUM_CLASSES).movedim(-1, 1).float()
        return [confidence * (2 * one_hot - 1) for confidence in CONFIDENCES]


class Images:
    """Images (N, C, H, W) in [-1, 1], NaN where the target is unknown."""

    def __init__(self, number: int, height: int, width: int, ignored_share: float) -> None:
        self._truth = normal(number, IMAGE_CHANNELS, height, width, seed=99).clamp(-1, 1)
        self.ignored = _random_mask(number, height, width, ignored_share)

    @property
    def target(self) -> Tensor:
        """The target image."""
        return self._truth.masked_fill(self.ignored, float("nan"))

    def output(self, seed: int) -> Tensor:
        """Return a random image."""
        return normal(*self._truth.shape, seed=seed).clamp(-1, 1)

    def outputs_predicting(self, mistaken: Tensor) -> list[Tensor]:
        """Return the truth, but its negative where mistaken."""
        return [torch.where(mistaken, -self._truth, self._truth)]


def make_comparison(
    offer: Offer, *, number: int = 2, height: int = 9, width: int = 7, ignored_share: float = 0.25
) -> Comparison:
    """Return what the loss compares: logits with labels, or images if that is what its `maps` makes."""
    kind = LogitsAndLabels if offer.component.maps in CLASSIFYING_MAPS else Images
    return kind(number, height, width, ignored_share)


def _random_mask(number: int, height: int, width: int, share: float) -> Tensor:
    """Return a mask (N, 1, H, W) of about so large a share of the pixels."""
    places = torch.rand(number, 1, height, width, generator=torch.Generator().manual_seed(5))
    return places < share
