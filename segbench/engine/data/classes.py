"""Whether a split can teach every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .packed import PackedSplit


def absent_classes(packed: PackedSplit, classes: Sequence[str]) -> list[str]:
    """Return the names of the classes of which the split has no pixel."""
    return [name for name, pixels in zip(classes, packed.class_pixels(), strict=True) if pixels == 0]


def check_classes(packed: PackedSplit, classes: Sequence[str]) -> None:
    """Raise DataError naming the classes that never occur in the labels of a split."""
    absent = absent_classes(packed, classes)
    if absent:
        named = ", ".join(map(repr, absent))
        never = f"class {named} never occurs" if len(absent) == 1 else f"classes {named} never occur"
        raise DataError(
            f"{never} in the labels of split {packed.split!r} (images: {len(packed)}); remove what is absent from the "
            "dataset, or set `absent_classes: allow` in the protocol"
        )
