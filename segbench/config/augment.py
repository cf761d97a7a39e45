"""Random changes of training crops, as a protocol writes them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, model_validator

from .frozen import Frozen


class Augment(Frozen):
    """Random changes of a training crop.

    `scale` is the range of zoom factors, `flip` mirrors left and right in half the draws, `jitter` is the strength of
    random brightness, contrast and saturation (0 = off, 0.4 = factors from 0.6 to 1.4).
    """

    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    flip: bool = False
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Refuse a scale range that is upside down."""
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale goes from {self.scale[0]} to {self.scale[1]}; the smaller factor comes first")
        return self
