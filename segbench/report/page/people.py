"""The room of people: what voters prefer, beside the scores of the same methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.people import describe_votes, people_notes, people_tables
from segbench.report.numbers import percent, percent_interval

from .families import encode_family, family_of
from .parts import Chart, Room
from .specs import FADED, KEEP, LEGEND, begin_spec, describe, mark_place, round_to

if TYPE_CHECKING:
    from segbench.report.numbers import Table
    from segbench.report.ranking.groups import Report
    from segbench.report.ranking.people import HumanRanking

    from .specs import Spec


def people(report: Report) -> Room | None:
    """Return the human rankings of a benchmark; None where nobody has voted."""
    if not report.people:
        return None
    tables = [people_tables(one) for one in report.people]
    charts = [_draw(one, of_one[0]) for one, of_one in zip(report.people, tables, strict=True)]
    return Room(
        id="people",
        title="What people prefer",
        lead="Votes on pairs of label maps, blind: " + "; ".join(map(describe_votes, report.people)) + ".",
        charts=tuple(chart.numbered(place) for place, chart in enumerate(charts) if chart),
        tables=tuple(table for of_one in tables for table in of_one),
        notes=tuple(dict.fromkeys(note for one in report.people for note in people_notes(one))),
    )


def _draw(ranking: HumanRanking, table: Table) -> Chart | None:
    """Return the chart of what is preferred; None where no votes are used."""
    if ranking.preferences is None:
        return None
    title = f"How often a method is preferred, {ranking.plan.dataset}"
    spec = begin_spec(title, _values(ranking))
    looks = encode_family(row for row in ranking.rows if row)
    axis = {"title": "preferred to another [%]", "tickCount": 5}
    said = describe(
        *(("name", "method"), ("interval", "preferred [%]"), ("miou", "mIoU [%]")),
        *(("boundary", "Boundary IoU [%]"), ("family", "family")),
    )
    sort = [one["name"] for one in _values(ranking)]
    y = {"field": "name", "type": "nominal", "sort": sort, "title": None, "axis": {"labelLimit": 160}}
    shared: Spec = {"y": y, "opacity": FADED, **said}
    x = {"type": "quantitative", "scale": {"domain": [0, 100]}, "axis": axis}
    spec["transform"] = [KEEP]
    spec["height"] = {"step": 34}
    spec["layer"] = [
        mark_place(50),
        {
            "mark": {"type": "rule", "strokeWidth": 3},
            "encoding": {**shared, "x": {"field": "low", **x}, "x2": {"field": "high"}, "color": looks["color"]},
        },
        {
            "params": [LEGEND],
            "mark": {"type": "point", "filled": True, "size": 110},
            "encoding": {**shared, "x": {"field": "share", **x}, **looks},
        },
    ]
    return Chart("people", title, spec, table, "At 50 % a method is as good as the others to people.")


def _values(ranking: HumanRanking) -> list[dict[str, Any]]:
    """Return the methods that are in a ranking, the most preferred first."""
    assert ranking.preferences is not None
    found = []
    for name, row in zip(ranking.plan.methods, ranking.rows, strict=True):
        share, interval = ranking.preferences.shares[name]
        if row:
            low, high = interval or (share, share)
            found.append(
                {
                    "name": name,
                    "family": family_of(row),
                    "share": round_to(100 * share),
                    "low": round_to(100 * low),
                    "high": round_to(100 * high),
                    "interval": f"{percent(share)} {percent_interval(interval)}",
                    "miou": percent(row.score("miou").mean),
                    "boundary": percent(row.score("boundary_iou").mean),
                }
            )
    return sorted(found, key=lambda one: (-one["share"], one["name"]))
