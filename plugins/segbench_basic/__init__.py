"""First-party components: basic/, the plainest networks there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Component, SegbenchError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


def build_fcn(in_channels: int, num_classes: int, *, width: int = 32) -> Any:
    """Build the plain convolutional segmenter; `width` is the number of channels of its two hidden layers."""
    if width < 1:
        raise SegbenchError(f"basic/fcn: width is {width}; give at least 1 channel")
    from .networks import PlainSegmenter

    return PlainSegmenter(in_channels, num_classes, width)


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield basic/fcn."""
    yield Component("fcn", build_fcn, "Plain CNN: three 3x3 convolutions at full resolution", requires=("torch",))
