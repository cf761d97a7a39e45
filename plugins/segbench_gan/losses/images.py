"""Supervised losses of images against images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench import SegbenchError

if TYPE_CHECKING:
    from torch import Tensor


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of images (N, C, H, W) in [-1, 1] where the target is not NaN, else 0."""
    if output.shape != target.shape:
        raise SegbenchError(
            f"gan/l1: the output is {tuple(output.shape)} and the target {tuple(target.shape)}; this loss compares "
            "images with images, so it is for generators that map to images; for label maps take losses/cross_entropy"
        )
    known = ~target.isnan()
    differences = torch.where(known, output - target, 0)
    return differences.abs().sum() / known.sum().clamp_min(1)
