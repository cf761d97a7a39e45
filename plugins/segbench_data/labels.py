"""Mask files as class ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import DataError
from segbench.images import read_mask, read_mask_colours
from segbench.images.masks import read_mask_pages
from segbench.images.pixels import row_bands

from .files import AS_STORED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.images import Reading


@dataclass(frozen=True)
class LabelTable:
    """Which class id, or ignore_index, a value or colour of a mask stands for.

    Values are grey values and palette indices; a colour is one number (`tables.colour_code`). What is not
    listed is refused, or becomes `ignore_index` where `ignore_unlisted`. `colours` tells what the codes are, for
    messages.
    """

    ids: Mapping[int, int]
    ignore_index: int
    ignore_unlisted: bool = False
    colours: bool = False

    def look_up(self, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
        """Return the ids (H, W) of values (H, W) or colours (H, W, 3); DataError if one is not listed."""
        labels = np.empty(pixels.shape[:2], dtype=self._dtype())
        for rows in row_bands(*labels.shape):
            labels[rows] = self._look_up(_codes(pixels[rows]), path)
        return labels

    def _look_up(self, codes: NDArray[Any], path: Path) -> NDArray[Any]:
        listed = np.array(sorted(self.ids), dtype=np.int64)
        ids = np.array([self.ids[code] for code in sorted(self.ids)], dtype=self._dtype())
        places = np.minimum(np.searchsorted(listed, codes), len(listed) - 1)
        unlisted = listed[places] != codes
        labels = ids[places]
        if unlisted.any():
            if not self.ignore_unlisted:
                raise DataError(self._unlisted_message(codes[unlisted], path))
            labels[unlisted] = self.ignore_index
        return labels

    def _dtype(self) -> type[np.unsignedinteger[Any]]:
        return np.uint8 if max(self.ignore_index, *self.ids.values()) <= 0xFF else np.uint16

    def _unlisted_message(self, codes: NDArray[Any], path: Path) -> str:
        values, counts = np.unique(codes, return_counts=True)
        others = f" and {len(values) - 1} other unlisted ones" if len(values) > 1 else ""
        return (
            f"{path}: the mask holds {self._text(int(values[0]))} ({counts[0]} pixels){others}; "
            f"allowed are {self._listed_text()}; correct the mask, list the value, or set unlisted: ignore"
        )

    def _text(self, code: int) -> str:
        return f"the colour {_colour_text(code)}" if self.colours else f"the value {code}"

    def _listed_text(self) -> str:
        codes = sorted(self.ids)
        return ", ".join(_colour_text(code) for code in codes) if self.colours else _ranges(codes)


def _codes(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Return values as they are, and colours as their codes."""
    if pixels.ndim == 2:
        return pixels.astype(np.int64)
    red, green, blue = np.moveaxis(pixels.astype(np.int64), 2, 0)
    return red << 32 | green << 16 | blue


@dataclass(frozen=True)
class MaskReader:
    """Read mask files: one channel by `values`, colours by `colours`.

    Without `values` every mask is read by its colours, also a palette's. Without `colours` a mask in colour is accepted
    if its channels are equal, as grey saved in colour is.
    """

    values: LabelTable | None
    colours: LabelTable | None = None
    reading: Reading = AS_STORED

    def __call__(self, path: Path) -> NDArray[Any]:
        """Return the (H, W) class ids of a mask file; DataError if it cannot be read or holds something unlisted."""
        if self.values is None:
            assert self.colours is not None, "one of the two tables is given"
            return self.colours.look_up(read_mask_colours(path, self.reading), path)
        pixels = read_mask(path, self.reading)
        if pixels.ndim == 2:
            return self.values.look_up(pixels, path)
        if self.colours is not None:
            return self.colours.look_up(pixels, path)
        if (pixels == pixels[..., :1]).all():
            return self.values.look_up(pixels[..., 0], path)
        raise DataError(f"{path}: the mask is in colour; say in `colours` which colour is which class")


@dataclass(frozen=True)
class PagesReader:
    """Read mask files of a page for each class, or for each but the first: pixels that are not 0 belong to it."""

    classes: int
    ignore_index: int
    reading: Reading = AS_STORED

    def __call__(self, path: Path) -> NDArray[Any]:
        """Return the (H, W) class ids; DataError for another number of pages and pixels on more than one."""
        marked = read_mask_pages(path, self.reading) != 0
        first = self.classes - len(marked)
        if first not in (0, 1):
            raise DataError(
                f"{path}: {len(marked)} pages for {self.classes} classes; pages: classes takes a page for each class, "
                "or for each but the first, which is then what no page marks"
            )
        twice = int((marked.sum(axis=0, dtype=np.uint16) > 1).sum())
        if twice:
            raise DataError(f"{path}: {twice} pixels are marked on more than one page; a pixel has one class")
        dtype = np.uint8 if max(self.ignore_index, self.classes - 1) <= 0xFF else np.uint16
        labels = np.full(marked.shape[1:], 0 if first else self.ignore_index, dtype=dtype)
        for place, page in enumerate(marked):
            labels[page] = first + place
        return labels


def _colour_text(code: int) -> str:
    """Return a colour code as benchmark files write it.

    >>> _colour_text(255 << 32 | 128 << 16)
    '[255, 128, 0]'
    """
    return str([code >> 32, code >> 16 & 0xFFFF, code & 0xFFFF])


def class_ids(count: int, ignore_index: int, *, ignore_unlisted: bool = False) -> LabelTable:
    """Return the table of masks that hold class ids and ignore_index as they are."""
    return LabelTable({**{i: i for i in range(count)}, ignore_index: ignore_index}, ignore_index, ignore_unlisted)


def _ranges(values: list[int]) -> str:
    """Return sorted numbers with runs joined.

    >>> _ranges([0, 1, 2, 255])
    '0 to 2, 255'
    """
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
