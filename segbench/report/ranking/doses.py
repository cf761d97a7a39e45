"""What a method gains at each dose: over the adversarial weights, or ratios of gradients, that a claim tries.

The differences are those of the ranking's comparisons, which are one family: all doses are looks at one claim, and
their verdicts hold at once (Holm), together with those of the placebos and of all else that the ranking compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .differences import comparison_with_twin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .differences import Comparison
    from .groups import Group
    from .rows import Row


@dataclass(frozen=True)
class DosePoint:
    """A method at a dose: its difference to the twin, and those of its placebos, by their kinds, to the same twin."""

    dose: float
    gain: Comparison
    placebos: Mapping[str, Comparison]


@dataclass(frozen=True)
class DoseCurve:
    """A method at several doses, the smallest first; `unit` is "weight" or "ratio", `twin` what it is compared with."""

    method: str
    twin: str
    unit: str
    points: tuple[DosePoint, ...]

    @property
    def placebos(self) -> tuple[str, ...]:
        """The kinds of placebos that there are at any dose."""
        return tuple(dict.fromkeys(kind for point in self.points for kind in point.placebos))

    def series(self) -> dict[str | None, list[tuple[float, Comparison]]]:
        """Return the differences by dose of the method itself (None) and of each kind of placebo."""
        return {
            None: [(point.dose, point.gain) for point in self.points],
            **{
                kind: [(point.dose, point.placebos[kind]) for point in self.points if kind in point.placebos]
                for kind in self.placebos
            },
        }


def find_doses(group: Group) -> tuple[DoseCurve, ...]:
    """Return the methods of a ranking that it has at several doses."""
    claimed = dict.fromkeys(row.dose_of for row in group.rows if row.dose_of)
    return tuple(filter(None, (_find_curve(method, group) for method in claimed if method)))


def _find_curve(method: str, group: Group) -> DoseCurve | None:
    """Return the doses of a method, its own among them; None where fewer than two are compared with a twin."""
    of = [row for row in group.rows if row.dose and method in (row.method, row.dose_of)]
    points = sorted(filter(None, (_find_point(row, group) for row in of)), key=lambda point: point.dose)
    if len(points) < 2 or points[0].gain.other is None or points[0].gain.row.dose is None:
        return None
    return DoseCurve(method, points[0].gain.other.name, points[0].gain.row.dose[0], tuple(points))


def _find_point(row: Row, group: Group) -> DosePoint | None:
    gain = comparison_with_twin(group.comparisons, row)
    if gain is None or row.dose is None:
        return None
    found = {
        placebo.placebo: comparison_with_twin(group.comparisons, placebo)
        for placebo in group.rows
        if placebo.placebo_of == row.method and placebo.placebo
    }
    return DosePoint(row.dose[1], gain, {kind: one for kind, one in found.items() if one is not None})
