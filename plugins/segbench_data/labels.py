"""Mask files as class ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import DataError

from .images import opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelTable:
    """Which class id, or ignore_index, a value or colour of a mask stands for.

    Values are grey values and palette indices; a colour is one number, 0xRRGGBB (`tables.colour_code`). What is not
    listed is refused, or becomes `ignore_index` where `ignore_unlisted`. `colours` tells what the codes are, for
    messages.
    """

    ids: Mapping[int, int]
    ignore_index: int
    ignore_unlisted: bool = False
    colours: bool = False

    def look_up(self, codes: NDArray[Any], path: Path) -> NDArray[Any]:
        """Return the ids of an array of values or colour codes; DataError if one is not listed."""
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


@dataclass(frozen=True)
class MaskReader:
    """Read mask files: one channel by `values`, colours by `colours`.

    Without `values` every mask is read by its colours, also a palette's. Without `colours` a mask in colour is accepted
    if its channels are equal, as grey saved in colour is.
    """

    values: LabelTable | None
    colours: LabelTable | None = None

    def __call__(self, path: Path) -> NDArray[Any]:
        """Return the (H, W) class ids of a mask file; DataError if it cannot be read or holds something unlisted."""
        with opened(path) as image:
            pixels = np.asarray(image.convert("RGBA").convert("RGB") if self.values is None else image)
        if pixels.ndim == 3:
            return self._from_colours(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1], path)
        if pixels.dtype.kind not in "biu":
            raise DataError(f"{path}: a mask holds whole numbers, this one {pixels.dtype}; save class ids as grey PNG")
        return self._from_values(pixels, path)

    def _from_colours(self, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
        if self.colours is not None and pixels.shape[2] == 3:
            red, green, blue = np.moveaxis(pixels.astype(np.int64), 2, 0)
            return self.colours.look_up(red << 16 | green << 8 | blue, path)
        if (pixels == pixels[..., :1]).all():
            return self._from_values(pixels[..., 0], path)
        raise DataError(f"{path}: the mask is in colour; say in `colours` which colour is which class")

    def _from_values(self, pixels: NDArray[Any], path: Path) -> NDArray[Any]:
        assert self.values is not None
        return self.values.look_up(pixels.astype(np.int64), path)


def _colour_text(code: int) -> str:
    """Return a colour code as benchmark files write it.

    >>> _colour_text(0xFF8000)
    '[255, 128, 0]'
    """
    return str([code >> 16, code >> 8 & 0xFF, code & 0xFF])


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
