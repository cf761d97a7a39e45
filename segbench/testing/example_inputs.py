"""What the checks build critics and losses for, and what they show them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from segbench.registry.options import build

from .check import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from segbench.registry import Offer

NUM_CLASSES = 4
IMAGE_CHANNELS = 3
# Neither 255 nor -100, which a loss might take for granted.
IGNORE_INDEX = 17

LOSS_VOCABULARY = {"num_classes": NUM_CLASSES, "ignore_index": IGNORE_INDEX}


def built(offer: Offer, vocabulary: Mapping[str, Any], seed: int = 0) -> Any:
    """Build a component with its example options, its weights drawn from the seed."""
    torch.manual_seed(seed)
    return build(offer, vocabulary, offer.component.example_options)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers, float32, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def given(what: str) -> Iterator[None]:
    """Say in front of whatever a component raises what it was given."""
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


def as_number(value: Any) -> float:
    """Return what a loss returned as one number, whatever its shape."""
    return float(torch.as_tensor(value).detach().sum())


def listed(output: Any) -> list[Tensor]:
    """Return what a component returned, a tensor or several, as a list."""
    return list(output) if isinstance(output, (list, tuple)) else [output]
