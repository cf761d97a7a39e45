"""The table of what a method gains at each dose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.report.numbers import MISSING, Column, Table, build_table, drop_empty, significant

from .tables import difference_text, verdict_text, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.report.ranking.doses import DoseCurve, DosePoint

# What several doses mean for the intervals, said beside the table and the chart.
LOOKS = (
    "Each dose is another look at one claim: intervals and verdicts are adjusted (Holm) together with those of all "
    "other differences of the ranking, so a verdict on the best dose holds. Its difference is still that of the best "
    "of several, which is likely too large."
)


def dose_table(curve: DoseCurve) -> Table:
    """Return the differences of a method at each dose, and of its placebos at the same dose, to their twin."""
    columns: list[Column[DosePoint]] = [
        Column("weight" if curve.unit == "weight" else "ratio of\ngradients", lambda point: f"{point.dose:g}"),
        Column(f"{curve.method} - {curve.twin}", lambda point: difference_text(point.gain)),
        Column("verdict", lambda point: verdict_text(point.gain)),
        *(Column(f"{kind} placebo - {curve.twin}", _placebo(kind)) for kind in curve.placebos),
        Column("gradient ratio\nmeasured", lambda point: significant(point.gain.row.health("ratio").mean)),
        Column("health", lambda point: verdicts(point.gain.row)),
    ]
    title = f"Differences of mIoU in points over the dose of {curve.method}"
    found = build_table(drop_empty(columns, curve.points), curve.points, title, f"doses {curve.method}")
    return found._replace(words=(2,))


def _placebo(kind: str) -> Callable[[DosePoint], str]:
    return lambda point: difference_text(point.placebos[kind]) if kind in point.placebos else MISSING
