"""Probabilities as logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# What counts as impossible is still let off: its logit is -9.2, which a refiner can overcome. It lies below 1 / K for
# any number K of classes in use, so that the most probable class stays that.
LEAST_PROBABILITY = 1e-4


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Return logits whose softmax is the probabilities, none of them taken to be below `LEAST_PROBABILITY`.

    - probabilities: (N, K, H, W), float in [0, 1]
    """
    return probabilities.float().clamp(min=LEAST_PROBABILITY).log()
