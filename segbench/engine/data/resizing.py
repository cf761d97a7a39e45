"""Images and label maps of another size: resized once, from a packed split into one of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from segbench.contract import Sample
from segbench.errors import DataError
from segbench.images.opening import USUAL
from segbench.plan.key import key_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench.config.resize import Resize, Size
    from segbench.contract import Dataset

    from .cache import PackedSplit


def resize_image(image: NDArray[Any], size: Size) -> NDArray[Any]:
    """Return an image (C, H, W) of uint8 or uint16 at another (height, width).

    Bilinear, with a filter that widens as the image shrinks (antialiased), and rounded to whole values: of 8 bits by
    Pillow itself, of 16 bits from float32.
    """
    return np.stack([_resize_channel(channel, size) for channel in image])


def _resize_channel(channel: NDArray[Any], size: Size) -> NDArray[Any]:
    deep = channel.dtype != np.uint8
    picture = Image.fromarray(channel.astype(np.float32) if deep else np.ascontiguousarray(channel))
    resized = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return np.rint(resized).astype(channel.dtype) if deep else resized


def resize_labels(labels: NDArray[Any], size: Size) -> NDArray[Any]:
    """Return a label map (H, W) at another (height, width): of each pixel the label under its centre."""
    rows, columns = (_nearest(length, given) for length, given in zip(size, labels.shape, strict=True))
    found: NDArray[Any] = labels[rows[:, None], columns]
    return found


def _nearest(length: int, given: int) -> NDArray[np.int64]:
    """Return for each of `length` pixels the one of `given` pixels that its centre lies in."""
    return (2 * np.arange(length, dtype=np.int64) + 1) * given // (2 * length)


class ResizedSamples:
    """The samples of a packed split, images and labels resized."""

    def __init__(self, packed: PackedSplit, resize: Resize) -> None:
        self._packed, self._resize = packed, resize

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        packed = self._packed
        size = self._resize.size_of(packed.index.sizes[index])
        image = resize_image(packed.image(index), size).transpose(1, 2, 0)
        return Sample(image, resize_labels(packed.labels(index), size), packed.ids[index])


def resized_dataset(dataset: Dataset, packed: PackedSplit, cache_key: str, resize: Resize) -> tuple[Dataset, str]:
    """Return a dataset whose one split holds resized samples, and the cache key of its decoded form.

    Raises DataError, before anything is resized, for an image that would keep no pixel or get more than the dataset's
    `max_pixels`.
    """
    most = (dataset.reading or USUAL).max_pixels
    for name, size in zip(packed.ids, packed.index.sizes, strict=True):
        check_size(f"{packed.split} sample {name!r}", size, resize, most)
    key = key_digest({"resized": cache_key, **resize.model_dump(mode="json")})
    return replace(dataset, splits={packed.split: ResizedSamples(packed, resize)}), key


def check_size(where: str, size: Size, resize: Resize, most: int) -> None:
    """Raise DataError for an image that resizing leaves no pixel of, or gives more than `most`."""
    height, width = resize.size_of(size)
    becomes = f"{where} is {list(size)} (height, width) and becomes {[height, width]} by protocol.resize ({resize})"
    if not height or not width:
        raise DataError(f"{becomes}, which leaves no pixel; resize to at least one row and column")
    if height * width > most:
        raise DataError(f"{becomes}, more than the limit of {most} pixels (max_pixels of the dataset); resize to fewer")
