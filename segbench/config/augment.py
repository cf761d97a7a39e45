"""Random changes of training crops, as a protocol writes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from segbench.shown import quote

from .frozen import Frozen, Share, added


def _read_flip(value: Any) -> Any:
    """Return what keys hold: for mirroring left and right its older name, true."""
    if not isinstance(value, bool) and value not in ("horizontal", "vertical", "both"):
        raise ValueError(f"must be horizontal (or true), vertical, both or false, not {quote(value)}")
    return True if value == "horizontal" else value


class Augment(Frozen):
    """Random changes of a training crop; those that are not given do not happen.

    What moves pixels, about the crop's centre:

    - scale: the range of zoom factors
    - flip: mirrors left and right (`horizontal` or true), up and down (`vertical`) or each (`both`), in half the draws
    - rotate: by up to so many degrees either way
    - rotate90: by a quarter turn, a half or three, or not at all; needs a square crop
    - shear: columns by up to so many degrees either way
    - translate: by up to this share of the crop's height and width, in whole pixels

    What changes values, in this order; hue and grey are for images of three channels:

    - jitter: brightness, contrast and saturation by factors from 1 - jitter to 1 + jitter
    - hue: by up to this share of the colour circle either way
    - gamma: values as shares of white to a power between 1 / (1 + gamma) and 1 + gamma
    - grey: the share of images that lose their colour
    - blur: by a Gaussian of a standard deviation of up to so many pixels
    - noise: normal, of a standard deviation of up to this share of white

    `cutmix` is the share of images that get a rectangle, with its labels, of another image of the batch (S. Yun et al.,
    ICCV 2019).
    """

    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    flip: Annotated[
        bool | Literal["vertical", "both"],
        BeforeValidator(_read_flip, json_schema_input_type=bool | Literal["horizontal", "vertical", "both"]),
    ] = False
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rotate: float = added(0.0, ge=0, le=180)
    rotate90: bool = added(False)
    shear: float = added(0.0, ge=0, le=60)
    translate: Share = added(0.0)
    hue: float = added(0.0, ge=0, le=0.5)
    gamma: float = added(0.0, ge=0, le=10)
    grey: Share = added(0.0)
    blur: float = added(0.0, ge=0, le=20)
    noise: Share = added(0.0)
    cutmix: Share = added(0.0)

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Refuse a scale range that is upside down."""
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale goes from {self.scale[0]} to {self.scale[1]}; the smaller factor comes first")
        return self

    def refuse_turns(self, size: tuple[int, int]) -> str | None:
        """Return why crops of a (height, width) cannot be turned by quarters as asked; None if they can.

        What is not square would reach beyond the images.
        """
        if not self.rotate90 or size[0] == size[1]:
            return None
        return (
            f"augment.rotate90 turns crops by a quarter, and {list(size)} (height, width) is not square; set "
            f"crop to [{min(size)}, {min(size)}], or use rotate"
        )

    @property
    def mirrors_columns(self) -> bool:
        """Whether images are mirrored left and right."""
        return self.flip in (True, "both")

    @property
    def mirrors_rows(self) -> bool:
        """Whether images are mirrored up and down."""
        return self.flip in ("vertical", "both")

    @property
    def turns(self) -> bool:
        """Whether crops move over the image other than by zoom, crop and mirroring."""
        return bool(self.rotate or self.rotate90 or self.shear or self.translate)

    @property
    def changes_values(self) -> bool:
        """Whether pixel values change."""
        return any((self.jitter, self.hue, self.gamma, self.grey, self.blur, self.noise))
