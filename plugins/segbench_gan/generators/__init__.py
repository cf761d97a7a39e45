"""The generators of gan/ with their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench import Component


def components() -> Iterable[Component]:
    """Yield the generators."""
    return ()
