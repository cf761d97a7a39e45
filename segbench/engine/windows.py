"""Class scores of images: logits of the whole image, or probabilities averaged over a sliding window."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch

from .precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.spec.protocol import Window


def class_scores(
    network: torch.nn.Module, images: torch.Tensor, *, precision: str, window: Window | None
) -> torch.Tensor:
    """Return what each class scores at each pixel, float32 (N, K, H, W), for images (N, C, H, W).

    Without a window these are the network's logits; with one, class probabilities: the softmax of each window's logits,
    averaged where windows overlap. The network must be in evaluation mode.
    """
    with torch.inference_mode(), autocast(images.device, precision):
        if window is None:
            return _float_logits(network, images)
        return _windowed_probabilities(network, images, window)


def _float_logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = network(images)
    return logits.float()


def _windowed_probabilities(network: torch.nn.Module, images: torch.Tensor, window: Window) -> torch.Tensor:
    height, width = images.shape[2:]
    total = count = None
    for rows, columns in window_slices((height, width), window):
        probabilities = _float_logits(network, images[:, :, rows, columns]).softmax(dim=1)
        if total is None or count is None:
            total = probabilities.new_zeros(*probabilities.shape[:2], height, width)
            count = probabilities.new_zeros(height, width)
        total[:, :, rows, columns] += probabilities
        count[rows, columns] += 1
    assert total is not None and count is not None
    return total.div_(count)


def window_slices(size: tuple[int, int], window: Window) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each window over an image of `size` (height, width), row by row.

    The last window of a row or column is shifted back to the border; an image smaller than the window is one window.
    """
    starts = [_starts(*axis) for axis in zip(size, window.size, window.stride, strict=True)]
    for top, left in product(*starts):
        yield slice(top, top + window.size[0]), slice(left, left + window.size[1])


def _starts(length: int, window: int, stride: int) -> list[int]:
    """Return where the windows along one axis begin.

    >>> _starts(10, 4, 3), _starts(9, 4, 3), _starts(3, 4, 3)
    ([0, 3, 6], [0, 3, 5], [0])
    """
    last = max(0, length - window)
    return [*range(0, last, stride), last]
