"""Apply a network to images: logits of whole images, or probabilities averaged over a sliding window or views."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from segbench.engine.data.batches import normalise
from segbench.engine.data.resizing import resize_image
from segbench.engine.numerics import autocast, memory_format

from .confusion import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from segbench.config.protocol import TrainingProtocol, Window
    from segbench.config.resize import Size
    from segbench.config.views import View, Views

    Network = Callable[[torch.Tensor], torch.Tensor]


def score_pixels(network: Network, images: Tensor, protocol: TrainingProtocol, size: Size) -> Tensor:
    """Return the score of each class at each pixel of a label map of `size` (height, width), float32 (N, K, H, W).

    `images` (N, C, h, w) are as the protocol resizes them. Without a window these are logits; with one, or several
    views of each image, probabilities: the softmax of each view's logits at `size`, averaged (as MMSegmentation does).
    """
    if protocol.tta is None:
        return resize_scores(_plain_scores(network, images, protocol), size)
    with torch.inference_mode():
        total = None
        for view, seen in see_views(images, protocol.tta):
            scores = _plain_scores(network, seen, protocol)
            scores = resize_scores(scores.flip(3) if view.mirrored else scores, size)
            probabilities = scores if protocol.window else scores.softmax(dim=1)
            total = probabilities if total is None else total.add_(probabilities)
        assert total is not None, "there is at least one view"
        return total.div_(len(protocol.tta.views))


def see_views(images: Tensor, views: Views) -> Iterator[tuple[View, Tensor]]:
    """Yield each view of images (N, C, h, w), resized bilinearly with antialiasing, then mirrored."""
    for view in views.views:
        size = [max(1, int(length * view.scale + 0.5)) for length in images.shape[2:]]
        seen = images if view.scale == 1 else interpolate(images, size, mode="bilinear", antialias=True)
        yield view, seen.flip(3) if view.mirrored else seen


def _plain_scores(network: Network, images: Tensor, protocol: TrainingProtocol) -> Tensor:
    return class_scores(network, images, precision=protocol.precision, window=protocol.window)


def resize_scores(scores: Tensor, size: Size) -> Tensor:
    """Return scores (N, K, h, w) at another (height, width): bilinear, align_corners=False."""
    return scores if scores.shape[-2:] == size else interpolate(scores, size, mode="bilinear", align_corners=False)


def class_scores(network: Network, images: torch.Tensor, *, precision: str, window: Window | None) -> torch.Tensor:
    """Return the score of each class at each pixel, float32 (N, K, H, W), for images (N, C, H, W).

    Without a window these are the network's logits; with one, class probabilities: the softmax of each window's logits,
    averaged where windows overlap. The network must be in evaluation mode.
    """
    with torch.inference_mode(), autocast(images.device, precision):
        if window is None:
            return network(images).float()
        return _windowed_probabilities(network, images, window)


def _windowed_probabilities(network: Network, images: torch.Tensor, window: Window) -> torch.Tensor:
    number, _, height, width = images.shape
    windows_at = images.new_zeros(height, width)
    total = None
    for rows, columns in window_slices((height, width), window):
        probabilities = network(images[:, :, rows, columns]).float().softmax(dim=1)
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


@dataclass(frozen=True)
class Prediction:
    """One image as the network received it, (1, C, h, w) in [-1, 1], and the scores of its classes.

    `seen` (1, K, h, w) are those of this one view: logits, or probabilities of a sliding window if `windowed`
    (`inference.class_scores`). `scores` (1, K, H, W) are at the size of the image before it was resized, `averaged` if
    they are probabilities, of a window or of several views.
    """

    images: Tensor
    seen: Tensor
    windowed: bool
    scores: Tensor
    averaged: bool

    @property
    def labels(self) -> NDArray[np.integer[Any]]:
        """The class of the highest score of each pixel, (H, W)."""
        return _top_classes(self.scores)

    @property
    def seen_labels(self) -> NDArray[np.integer[Any]]:
        """The class of the highest score of each pixel of the image as the network received it, (h, w)."""
        return _top_classes(self.seen)

    @property
    def probabilities(self) -> Tensor:
        """The class probabilities, (1, K, H, W), which add up to 1."""
        return self.scores if self.averaged else self.scores.softmax(dim=1)

    @property
    def logits(self) -> Tensor:
        """Numbers whose softmax are the class probabilities of the image as received, (1, K, h, w)."""
        return self.seen.clamp_min(torch.finfo(self.seen.dtype).tiny).log() if self.windowed else self.seen


def _top_classes(scores: Tensor) -> NDArray[np.integer[Any]]:
    labels: NDArray[np.integer[Any]] = classify(scores)[0].cpu().numpy()
    return labels


def predict_image(network: Network, image: Tensor, white: int, protocol: TrainingProtocol) -> Prediction:
    """Apply a network to one image (C, H, W) of pixel values 0 to `white`, resized as the protocol says.

    Image and network are on one device, the network in evaluation mode.
    """
    size = (image.shape[1], image.shape[2])
    if protocol.resize is not None:
        resized = resize_image(image.cpu().numpy(), protocol.seen_size(size))
        image = torch.from_numpy(resized).to(image.device)
    images = normalise(image[None], white, memory_format(protocol.channels_last))
    seen = _plain_scores(network, images, protocol)
    scores = resize_scores(seen, size) if protocol.tta is None else score_pixels(network, images, protocol, size)
    return Prediction(images, seen, protocol.window is not None, scores, protocol.averages)
