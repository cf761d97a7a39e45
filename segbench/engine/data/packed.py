"""A split decoded once into two flat files, opened memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segbench.spec.protocol import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INDEX = "index.json"
IMAGES = "images.bin"
LABELS = "labels.bin"


class PackedIndex(Frozen):
    """What the flat files hold: the images (C, H, W) one after the other, and likewise the labels (H, W).

    `sizes` are [height, width] by image, `class_pixels` the labelled pixels by class.
    """

    format: Literal["segbench packed split 1"] = "segbench packed split 1"
    split: str
    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    channels: int
    image_dtype: Literal["uint8", "uint16"]
    label_dtype: Literal["uint8", "uint16"]
    num_classes: int
    ignore_index: int
    class_pixels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PackedSplit:
    """The decoded samples of one split; `pixels` and `label_pixels` are the flat files.

    The arrays are memory-mapped copy-on-write: writing to one changes no file.
    """

    index: PackedIndex
    pixels: NDArray[Any]
    label_pixels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def split(self) -> str:
        """The name of the split."""
        return self.index.split

    @property
    def ids(self) -> tuple[str, ...]:
        """The sample ids."""
        return self.index.ids

    @property
    def channels(self) -> int:
        """The number of image channels."""
        return self.index.channels

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.index.num_classes

    @property
    def ignore_index(self) -> int:
        """The label of pixels that do not count."""
        return self.index.ignore_index

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """The dtype of the images: uint8 or uint16."""
        return self.pixels.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of all images and labels."""
        return self.pixels.nbytes + self.label_pixels.nbytes

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width by image, (n, 2)."""
        return np.array(self.index.sizes, dtype=np.int64)

    @cached_property
    def offsets(self) -> list[int]:
        """The number of label pixels before each image."""
        areas = self.sizes.prod(axis=1)
        return [int(offset) for offset in np.cumsum(areas) - areas]

    def image(self, index: int) -> NDArray[Any]:
        """Return one image, (C, H, W)."""
        height, width = self.index.sizes[index]
        start = self.channels * self.offsets[index]
        return self.pixels[start : start + self.channels * height * width].reshape(self.channels, height, width)

    def labels(self, index: int) -> NDArray[Any]:
        """Return one label map, (H, W)."""
        height, width = self.index.sizes[index]
        start = self.offsets[index]
        return self.label_pixels[start : start + height * width].reshape(height, width)

    def class_pixels(self) -> NDArray[np.int64]:
        """Return the number of labelled pixels by class, (K,); ignored pixels are not counted."""
        return np.array(self.index.class_pixels, dtype=np.int64)

    @cached_property
    def class_presence(self) -> NDArray[np.bool_]:
        """Whether a class occurs in an image, (n, K); reads all labels once."""
        counts = [np.bincount(self.labels(index).ravel(), minlength=self.num_classes) for index in range(len(self))]
        return np.array([count[: self.num_classes] > 0 for count in counts])


def open_packed(folder: Path) -> PackedSplit | None:
    """Open a packed split; None if it is missing, of another format or damaged."""
    try:
        index = PackedIndex.model_validate_json((folder / INDEX).read_bytes())
        pixels = np.memmap(folder / IMAGES, dtype=index.image_dtype, mode="c")
        label_pixels = np.memmap(folder / LABELS, dtype=index.label_dtype, mode="c")
    except (OSError, ValueError):
        return None
    area = sum(height * width for height, width in index.sizes)
    whole = pixels.size == index.channels * area and label_pixels.size == area and len(index.ids) == len(index.sizes)
    return PackedSplit(index, pixels, label_pixels) if whole else None
