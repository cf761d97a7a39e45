"""The views of an image over which a network's probabilities are averaged when it is tested."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from .frozen import Frozen

# Beyond it an image has sixteen times its pixels.
_LARGEST_SCALE = 4

Scale = Annotated[float, Field(gt=0, le=_LARGEST_SCALE)]


class View(NamedTuple):
    """An image zoomed by a factor, and perhaps mirrored left and right."""

    scale: float
    mirrored: bool


class Views(Frozen):
    """Test-time augmentation: the image at each of the `scales`, and with `flip` mirrored left and right as well."""

    flip: bool = False
    scales: Annotated[tuple[Scale, ...], Field(min_length=1, max_length=16)] = (1.0,)

    @model_validator(mode="after")
    def check_there_are_views(self) -> Self:
        """Refuse a scale that is there twice, which would count twice, and what is no more than the image itself."""
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"a scale is there twice in {list(self.scales)}; each view counts once")
        if self.views == [View(1.0, mirrored=False)]:
            raise ValueError("this is the image alone; give flip: true or scales such as [0.75, 1.0, 1.25], or null")
        return self

    @property
    def views(self) -> list[View]:
        """All views, the mirrored one of each scale behind the other."""
        return [View(scale, mirrored) for scale in self.scales for mirrored in (False, *([True] * self.flip))]
