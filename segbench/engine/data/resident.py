"""The pixels of a split: kept on the training device if they fit there, and cut into images and windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .cache import PackedSplit


# The share of a CUDA device's memory that the pixels of a cell's splits may take; the rest is for the network.
RESIDENT_SHARE = 0.4

Range = tuple[int, int]  # half-open, of rows or columns


class ResidentSplit:
    """The pixels of a split for one device, as the uint8 or uint16 values of the dataset.

    On the CPU they are memory-mapped without a copy. On another device they are copied there if they take no more bytes
    than the `budget`, where there is one; otherwise they stay memory-mapped on the host, and what is asked for is sent
    through pinned memory while the device computes. `device_bytes` are those that were copied. The labels, ids and
    sizes are those of `packed`, the images those of `seen`, the same images at another size, where it is given.
    """

    def __init__(
        self, packed: PackedSplit, device: torch.device, seen: PackedSplit | None = None, budget: int | None = None
    ) -> None:
        self.packed = packed
        self.seen = packed if seen is None else seen
        self.device = device
        size = self.seen.pixels.nbytes + packed.label_pixels.nbytes
        home = device if budget is None or size <= budget else torch.device("cpu")
        self.device_bytes = 0 if home.type == "cpu" else size
        self._pixels = torch.from_numpy(self.seen.pixels).to(home)
        self._label_pixels = torch.from_numpy(packed.label_pixels).to(home)
        self._pinned = device.type == "cuda" and home.type == "cpu"

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def ids(self) -> tuple[str, ...]:
        """The sample ids."""
        return self.packed.ids

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width by image, (n, 2)."""
        return self.packed.sizes

    @property
    def white(self) -> int:
        """The highest pixel value: 255 or 65535."""
        return 255 if self._pixels.dtype == torch.uint8 else 65535

    def image(self, index: int) -> Tensor:
        """Return one image on the device, (C, H, W)."""
        return self.seen.cut_image(self._pixels, index).to(self.device)

    def windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> tuple[Tensor, Tensor]:
        """Return a window of each given image and of its labels on the device, (N, C, h, w) and (N, h, w).

        h and w are those of the largest window; smaller ones lie in the upper left corner, and beyond them is 0.
        """
        return self.image_windows(indices, rows, columns), self.label_windows(indices, rows, columns)

    def image_windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> Tensor:
        """Return a window of each given image as `windows` does, without the labels."""
        return self._gather([self.seen.cut_image(self._pixels, index) for index in indices], rows, columns)

    def label_windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> Tensor:
        """Return a window of the labels of each given image as `windows` does, without the images."""
        return self._gather([self.packed.cut_labels(self._label_pixels, index) for index in indices], rows, columns)

    def whole(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return images of one size and their labels on the device, (N, C, h, w) and (N, H, W)."""
        seen, size = self.seen.index.sizes[indices[0]], self.packed.index.sizes[indices[0]]
        images = self.image_windows(indices, *_all_of(seen, len(indices)))
        return images, self.label_windows(indices, *_all_of(size, len(indices)))

    def _gather(self, maps: Sequence[Tensor], rows: Sequence[Range], columns: Sequence[Range]) -> Tensor:
        return gather_windows(maps, rows, columns, pinned=self._pinned).to(self.device, non_blocking=True)


def gather_windows(maps: Sequence[Tensor], rows: Sequence[Range], columns: Sequence[Range], *, pinned: bool) -> Tensor:
    """Return a window of each map (..., H, W) where the maps are, (N, ..., h, w), in pinned memory if asked for.

    h and w are those of the largest window; smaller ones lie in the upper left corner, and beyond them is 0.
    """
    height = max(stop - start for start, stop in rows)
    width = max(stop - start for start, stop in columns)
    shape = (len(maps), *maps[0].shape[:-2], height, width)
    # Filled with 0, since rounding lets a sampled border pixel take a millionth of what lies beyond its window.
    windows = torch.zeros(shape, dtype=maps[0].dtype, device=maps[0].device, pin_memory=pinned)
    for place, whole, (top, bottom), (left, right) in zip(windows, maps, rows, columns, strict=True):
        place[..., : bottom - top, : right - left] = whole[..., top:bottom, left:right]
    return windows


def _all_of(size: tuple[int, int], number: int) -> tuple[list[Range], list[Range]]:
    """Return all rows and all columns of so many maps of one (height, width)."""
    return [(0, size[0])] * number, [(0, size[1])] * number


def resident_budget(device: torch.device, share: float, taken: int) -> int | None:
    """Return how many bytes another split may take on a CUDA device beside those `taken` by others; None on the CPU.

    `share` is that of the device which is the cell's own. Counted is all memory, since cells that start together would
    all see the same of it free; but it is at most half of what is free.
    """
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return min(int(RESIDENT_SHARE * share * total) - taken, free // 2)
