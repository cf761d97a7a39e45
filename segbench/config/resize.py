"""The size that images are given before a network sees them, as a protocol writes it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from .frozen import Frozen

Size = tuple[int, int]  # height and width

# Where predictions are compared with the truth: at the labels' own resolution, or at that of the resized images.
Resolution = Literal["native", "resized"]


class Resize(Frozen):
    """The size that images and training labels are given once, when they are decoded; exactly one way is stated.

    `factor` multiplies both sides; `short_side` is the length of the shorter one, the longer one keeps the aspect
    ratio; `size` is [height, width], or with `keep_aspect` the box into which the image just fits.
    """

    factor: Annotated[float, Field(gt=0, le=100)] | None = None
    short_side: PositiveInt | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    keep_aspect: bool = False

    @model_validator(mode="after")
    def check_one_is_given(self) -> Self:
        """Refuse none, more than one, and a shape to keep where nothing changes it."""
        given = self.model_dump(exclude_none=True, exclude={"keep_aspect"})
        if len(given) != 1:
            raise ValueError(f"give exactly one of factor, short_side, size; got {', '.join(given) or 'none'}")
        if self.keep_aspect and self.size is None:
            raise ValueError(f"keep_aspect belongs to size: {', '.join(given)} keeps the aspect ratio in any case")
        return self

    def __str__(self) -> str:
        given = self.model_dump(exclude_none=True, exclude_defaults=True)
        return ", ".join(f"{key} {list(value) if key == 'size' else value}" for key, value in given.items())

    def size_of(self, size: Size) -> Size:
        """Return the height and width that an image of a (height, width) is given; a side may come to 0 pixels.

        >>> Resize(factor=0.5).size_of((360, 481)), Resize(short_side=512).size_of((1024, 2048))
        ((180, 241), (512, 1024))
        >>> Resize(size=(100, 100), keep_aspect=True).size_of((360, 480))
        (75, 100)
        """
        height, width = size
        if self.size is not None and not self.keep_aspect:
            return self.size
        if self.factor is not None:
            return _scale(height, self.factor, 1), _scale(width, self.factor, 1)
        if self.size is None:
            by, of = self.short_side or 0, min(size)
        else:
            by, of = min(zip(self.size, size, strict=True), key=lambda side: side[0] / side[1])
        return _scale(height, by, of), _scale(width, by, of)


def _scale(length: int, by: float, of: int) -> int:
    """Return a length times a ratio in whole pixels; halves are rounded up, as zoomed crops are."""
    return int(length * by / of + 0.5)
