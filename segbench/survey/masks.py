"""Which values and colours masks hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataError
from segbench.images import Reading, read_mask, read_mask_colours
from segbench.images.notes import noting

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    RGB = tuple[int, int, int]

STORED = Reading(orientation="stored")
# More values or colours are no classes.
MOST_CLASSES = 256


@dataclass
class MaskSurvey:
    """What masks hold: the number of masks with each grey value, palette index and colour.

    `shown` are the colours that indices stand for, `palette` that of each, `grey_as_colour` the values of masks in
    colour of which all pixels are grey. `is_one_palette` is False where an index has several colours.
    """

    values: Counter[int] = field(default_factory=Counter)
    indices: Counter[int] = field(default_factory=Counter)
    shown: Counter[RGB] = field(default_factory=Counter)
    colours: Counter[RGB] = field(default_factory=Counter)
    grey_as_colour: Counter[int] = field(default_factory=Counter)
    palette: dict[int, RGB] = field(default_factory=dict)
    is_one_palette: bool = True

    def include(self, other: MaskSurvey, path: Path) -> None:
        """Add what a mask holds; DataError, with its path, where values or colours are now too many for classes."""
        for name in ("values", "indices", "shown", "colours", "grey_as_colour"):
            getattr(self, name).update(getattr(other, name))
        for index, colour in other.palette.items():
            self.is_one_palette &= self.palette.setdefault(index, colour) == colour
        self._check_number(path)

    def count(self, code: int | RGB) -> int:
        """Return how many masks hold a value, or a colour."""
        return self.by_colour[code] if isinstance(code, tuple) else self._all_values()[code]

    @property
    def by_value(self) -> Counter[int] | None:
        """The number of masks with each value, a grey saved in colour being its value; None where colours count."""
        if self.colours or not self.is_one_palette:
            return None
        return self._all_values()

    @property
    def by_colour(self) -> Counter[RGB]:
        """The number of masks with each colour, of all masks as they are shown."""
        greys = self.values + self.grey_as_colour
        return self.colours + self.shown + Counter({(value, value, value): greys[value] for value in greys})

    def _all_values(self) -> Counter[int]:
        return self.values + self.indices + self.grey_as_colour

    def _check_number(self, path: Path) -> None:
        if len(self.colours) > MOST_CLASSES:
            raise DataError(
                f"{path}: with this mask there are {len(self.colours)} colours, more than classes can have; masks that "
                "were saved as JPEG or resized with smoothing have such: save them anew as PNG, without smoothing"
            )
        if len(self.values) > MOST_CLASSES:
            raise DataError(
                f"{path}: with this mask there are {len(self.values)} values, more than classes can have; are they "
                "numbers of objects, or depths? Give masks of classes"
            )


def survey_mask(path: Path) -> MaskSurvey:
    """Look at the pixels of one mask; DataError where it cannot be read."""
    with noting() as notes:
        pixels = read_mask(path, STORED)
    if pixels.ndim == 3 and not (pixels == pixels[..., :1]).all():
        return MaskSurvey(colours=Counter(_colours(pixels)))
    if pixels.ndim == 3:
        return MaskSurvey(grey_as_colour=Counter(_values(pixels[..., 0])))
    if "palette" not in notes[-1].depth:
        return MaskSurvey(values=Counter(_values(pixels)))
    shown = read_mask_colours(path, STORED)
    palette = {value: _colours(shown[pixels == value][None, :1])[0] for value in _values(pixels)}
    return MaskSurvey(indices=Counter(list(palette)), shown=Counter(set(palette.values())), palette=palette)


def _values(pixels: NDArray[Any]) -> list[int]:
    if pixels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist()
    return list(map(int, np.unique(pixels)))


def _colours(pixels: NDArray[Any]) -> list[RGB]:
    red, green, blue = np.moveaxis(pixels.astype(np.int64), 2, 0)
    codes = np.unique(red << 32 | green << 16 | blue).tolist()
    return [(code >> 32, code >> 16 & 0xFFFF, code & 0xFFFF) for code in codes]
