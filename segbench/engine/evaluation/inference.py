"""Apply a network to images: logits of whole images, or probabilities averaged over a sliding window or views."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import interpolate

from segbench.engine.data.batches import normalise, whole_batch
from segbench.engine.data.resizing import resize_image
from segbench.engine.numerics import autocast, memory_format
from segbench.images.pixels import is_large

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
    from segbench.engine.data.resident import Range, ResidentSplit

    Network = Callable[[torch.Tensor], torch.Tensor]
    Reader = Callable[[slice, slice], torch.Tensor]


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


class Band(NamedTuple):
    """Rows of images of one size: their labels (N, h, W) and the score of each class at each pixel, (N, K, h, W).

    The labels are int64, or as they are stored where the rows are not the whole image.
    """

    labels: Tensor
    scores: Tensor


def score_bands(
    network: Network, split: ResidentSplit, indices: tuple[int, ...], protocol: TrainingProtocol
) -> Iterator[Band]:
    """Yield equally large images of a split from top to bottom, with what `score_pixels` gives of each.

    Large images that the protocol evaluates with a window are read, scored and yielded some rows at a time, others
    whole.
    """
    size, layout = split.packed.index.sizes[indices[0]], memory_format(protocol.channels_last)
    window = band_window(protocol, size, split.seen.index.sizes[indices[0]])
    if window is None:
        batch = whole_batch(split, indices, layout)
        yield Band(batch.labels, score_pixels(network, batch.images, protocol, size))
        return

    def cut(rows: slice, columns: slice) -> tuple[list[Range], list[Range]]:
        return [(rows.start, rows.stop)] * len(indices), [(columns.start, columns.stop)] * len(indices)

    def read(rows: slice, columns: slice) -> Tensor:
        return normalise(split.image_windows(indices, *cut(rows, columns)), split.white, layout)

    for rows, scores in window_probabilities(network, read, size, window, split.device, protocol.precision):
        yield Band(split.label_windows(indices, *cut(rows, slice(0, size[1]))), scores)


def band_window(protocol: TrainingProtocol, size: Size, seen: Size) -> Window | None:
    """Return the window by which images of a size, which the network sees at another, are scored some rows at a time.

    None for those that are scored whole: small or resized ones, and where there is no window, or several views.
    """
    return protocol.window if protocol.tta is None and seen == size and is_large(*size) else None


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
        number, _, height, width = images.shape

        def read(rows: slice, columns: slice) -> Tensor:
            return images[:, :, rows, columns]

        total = None
        for rows, part in window_probabilities(network, read, (height, width), window, images.device, precision):
            if total is None:
                total = part.new_empty(number, part.shape[1], height, width)
            total[:, :, rows] = part
        assert total is not None, "there is at least one window"
        return total


def window_probabilities(
    network: Network, read: Reader, size: Size, window: Window, device: torch.device, precision: str
) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of images of a (height, width), from top to bottom, and their class probabilities (N, K, h, W).

    `read` returns the images (N, C, ...) at some rows and columns. Memory holds as many rows as a window has.
    """
    tops, lefts = (_starts(*axis) for axis in zip(size, window.size, window.stride, strict=True))
    height = min(window.size[0], size[0])
    windows_at = torch.zeros(height, size[1], device=device)
    sums = None
    for top, bottom in zip(tops, [*tops[1:], size[0]], strict=True):
        rows = slice(top, top + height)
        with torch.inference_mode(), autocast(device, precision):
            for left in lefts:
                columns = slice(left, min(left + window.size[1], size[1]))
                probabilities = network(read(rows, columns)).float().softmax(dim=1)
                if sums is None:
                    sums = probabilities.new_zeros(*probabilities.shape[:2], height, size[1])
                sums[..., columns] += probabilities
                windows_at[:, columns] += 1
            assert sums is not None, "there is at least one window"
            finished = sums[:, :, : bottom - top].div_(windows_at[: bottom - top])
            sums, windows_at = _move_up(sums, bottom - top), _move_up(windows_at, bottom - top)
        yield slice(top, bottom), finished


def _move_up(sums: Tensor, rows: int) -> Tensor:
    """Return sums (..., h, W) without their first rows, with rows of zeros after the last."""
    return torch.cat([sums[..., rows:, :], torch.zeros_like(sums[..., :rows, :])], dim=-2)


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
