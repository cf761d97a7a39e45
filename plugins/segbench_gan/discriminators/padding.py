"""Zeros around inputs that a network cannot take as they are, and their way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def pad(x: Tensor, height: int, width: int) -> Tensor:
    """Return x (N, C, H, W) in the middle of zeros (N, C, height, width); sides that are long enough stay."""
    rows, columns = max(0, height - x.shape[-2]), max(0, width - x.shape[-1])
    if rows == columns == 0:
        return x
    return functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """Return the middle (N, C, height, width) of x: what `pad` surrounded."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]
