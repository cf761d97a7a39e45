"""First-party components: hf/, networks of transformers and datasets of the Hugging Face hub."""

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
