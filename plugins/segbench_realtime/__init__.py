"""First-party components: realtime/, networks made for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench import Component


@hookimpl
def segbench_generators() -> Iterable[Component]:
    """Yield the networks."""
    return []
