"""Names that refer to other names: that they exist, and that following them ends."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from segbench.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .node import Place


@dataclass(frozen=True)
class Reference:
    """The name that something refers to, and where it does."""

    to: str
    place: Place


def check_exists(reference: Reference, what: str, known: Iterable[str]) -> None:
    """Raise SpecError with the nearest name if the reference dangles."""
    names = list(known)
    if reference.to not in names:
        there_is = ", ".join(names) or "none"
        raise reference.place.error(
            f"there is no {what} {reference.to!r}; there is {there_is}.{nearest(reference.to, names)}"
        )


def in_order(references: Mapping[str, Iterable[Reference]]) -> list[str]:
    """Return the names so that each comes after those it refers to; SpecError names the cycle and its places."""
    graph = {name: [reference.to for reference in to] for name, to in references.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        # graphlib lists each name before the one that refers to it.
        cycle = list(reversed(error.args[1]))
    steps = [reference for name, to in pairwise(cycle) for reference in references[name] if reference.to == to]
    others = "".join(f"\n  {step.place}: {step.to}" for step in steps[1:])
    raise steps[0].place.error(f"this goes round in a circle: {' -> '.join(cycle)}{others}")
