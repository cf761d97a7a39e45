"""Supervised losses of images against images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of images (N, C, H, W) in [-1, 1] where the target is not NaN, else 0."""
    known = ~target.isnan()
    differences = torch.where(known, output - target, 0)
    return differences.abs().sum() / known.sum().clamp_min(1)
