"""A network applied to images: logits of the whole image, or probabilities averaged over a sliding window."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch

from .confusion import classify
from .data.batches import normalise
from .precision import autocast, memory_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from segbench.spec.protocol import Protocol, Window

    Network = Callable[[torch.Tensor], torch.Tensor]


def predict_labels(network: Network, image: torch.Tensor, white: int, protocol: Protocol) -> NDArray[np.integer[Any]]:
    """Return the classes (H, W) that a network sees in one image (C, H, W) of pixel values 0 to `white`.

    Image and network are on one device, the network in evaluation mode.
    """
    images = normalise(image[None], white, memory_format(protocol.channels_last))
    scores = class_scores(network, images, precision=protocol.precision, window=protocol.window)
    labels: NDArray[np.integer[Any]] = classify(scores)[0].cpu().numpy()
    return labels


def class_scores(network: Network, images: torch.Tensor, *, precision: str, window: Window | None) -> torch.Tensor:
    """Return what each class scores at each pixel, float32 (N, K, H, W), for images (N, C, H, W).

    Without a window these are the network's logits; with one, class probabilities: the softmax of each window's logits,
    averaged where windows overlap. The network must be in evaluation mode.
    """
    with torch.inference_mode(), autocast(images.device, precision):
        if window is None:
            return _float_logits(network, images)
        return _windowed_probabilities(network, images, window)


def _float_logits(network: Network, images: torch.Tensor) -> torch.Tensor:
    return network(images).float()


def _windowed_probabilities(network: Network, images: torch.Tensor, window: Window) -> torch.Tensor:
    number, _, height, width = images.shape
    windows_at = images.new_zeros(height, width)
    total = None
    for rows, columns in window_slices((height, width), window):
        probabilities = _float_logits(network, images[:, :, rows, columns]).softmax(dim=1)
        if total is None:
            total = probabilities.new_zeros(number, probabilities.shape[1], height, width)
        total[:, :, rows, columns] += probabilities
        windows_at[rows, columns] += 1
    assert total is not None, "there is at least one window"
    return total.div_(windows_at)


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
