"""The scores of single seeds: each seed of each method, with a line to the same seed of its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.numbers import MISSING, Table, percent, percent_interval
from segbench.report.ranking.differences import comparison_with_twin
from segbench.shown import clean_line

from .families import encode_family, family_of
from .parts import Chart
from .specs import (
    FADED,
    LEGEND,
    SILENT,
    TICKS,
    ZOOM_NOTE,
    begin_spec,
    describe,
    find_domain,
    round_to,
    stack_rows,
    zoom,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row

    from .specs import Spec

# Of more methods or points the first methods that the filter keeps are drawn.
MOST_DRAWN, MOST_POINTS = 40, 1200


def draw_seeds(group: Group) -> Chart | None:
    """Return the chart of the mIoU of each seed; None if no row has an mIoU."""
    rows = [row for row in group.rows if row.by_seed("miou")]
    if not rows:
        return None
    twins = {row.name: found.other for row in rows if (found := comparison_with_twin(group.comparisons, row))}
    ordered = order_by_twins(rows, {name: twin.name for name, twin in twins.items() if twin})
    title = "Every seed of every method"
    values = [{**_values(row, twins.get(row.name)), "order": order} for order, row in enumerate(ordered)]
    spec = begin_spec(title, [*values, *_anchors(values)])
    most = max(1, min(MOST_DRAWN, MOST_POINTS // max(len(row.records) for row in rows)))
    spec |= stack_rows(len(rows), 38, most)
    spec["transform"] += [_PLACE_OF_TWIN]
    spec["layer"] = _layers(rows, find_domain(_positions(values)))
    note = "Points: seeds. Bar: the mean and its 95 % interval. Lines join a seed with the same seed of the twin."
    if len(rows) > most:
        note += f" The first {most} of {len(rows)} methods are drawn; the filter shows others."
    return Chart("seeds", title, spec, _table(ordered), f"{note} {ZOOM_NOTE}")


def order_by_twins(rows: Sequence[Row], twins: dict[str, str]) -> list[Row]:
    """Return rows in their order, but each after its twin, so that lines between them are short."""
    by_name = {row.name: row for row in rows}
    following: dict[str, list[Row]] = {}
    for row in rows:
        twin = twins.get(row.name)
        following.setdefault(twin if twin in by_name else "", []).append(row)
    found: list[Row] = []
    waiting = following.pop("", [])[::-1]
    while waiting:
        found.append(waiting.pop())
        waiting += following.pop(found[-1].name, [])[::-1]
    return [*found, *(row for row in rows if row not in found)]  # twins of each other, which nobody writes


def _values(row: Row, twin: Row | None) -> dict[str, Any]:
    scores, others = row.by_seed("miou"), twin.by_seed("miou") if twin else {}
    mean, interval = row.score("miou").mean, row.statistics.interval
    return {
        "name": row.name,
        "family": family_of(row),
        "twin": twin.name if twin else row.name,
        "seed": list(scores),
        "miou": [round_to(100 * score) for score in scores.values()],
        "of_twin": [round_to(100 * others[seed]) if seed in others else None for seed in scores],
        "mean": None if mean is None else round_to(100 * mean),
        "low": interval and round_to(100 * interval.low),
        "high": interval and round_to(100 * interval.high),
    }


def _anchors(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows that draw nothing: a twin that has a twin itself stands a second time among those it is the twin of.

    The first of the rows with one twin is this twin, so that its place is the least of theirs.
    """
    twins = {row["twin"] for row in values}
    empty: dict[str, Any] = {"seed": [], "miou": [], "of_twin": []}
    return [
        {**row, **empty, "twin": row["name"], "mean": None, "low": None, "high": None, "name": row["name"]}
        for row in values
        if row["name"] in twins and row["twin"] != row["name"]
    ]


_PLACE_OF_TWIN: Spec = {"joinaggregate": [{"op": "min", "field": "place", "as": "place_of_twin"}], "groupby": ["twin"]}
_EACH_SEED: Spec = {"flatten": ["seed", "miou", "of_twin"]}


def _positions(values: Sequence[dict[str, Any]]) -> list[float | None]:
    return [value for row in values for value in (*row["miou"], row["low"], row["high"])]


def _layers(rows: Sequence[Row], domain: list[float]) -> list[Spec]:
    looks = encode_family(rows)
    axis = {"title": "mIoU [%]", "grid": True, "orient": "top", **TICKS}
    x: Spec = {"field": "miou", "type": "quantitative", "scale": {"domain": domain, "nice": False}, "axis": axis}
    said = describe(
        *(("name", "method"), ("seed", "seed"), ("miou", "mIoU [%]", ".2f")),
        *(("of_twin", "twin's mIoU [%]", ".2f"), ("family", "family")),
    )
    down = {"yOffset": 8, "clip": True}
    has_twin = {"filter": "isValid(datum.of_twin) && indexof(lower(datum.twin), lower(filter)) >= 0"}
    name = {"type": "text", "style": "label", "align": "left", "x": 2, "yOffset": -9, **SILENT}
    return [
        {"mark": {**name, "limit": {"expr": "width - 4"}}, "encoding": {"text": {"field": "name"}}},
        {
            "transform": [_EACH_SEED, has_twin],
            "mark": {**down, "type": "rule", "style": "line", "opacity": 0.7, "y2Offset": 8, **SILENT},
            "encoding": {"x": x, "x2": {"field": "of_twin"}, "y2": {"field": "place_of_twin"}},
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {**down, "type": "rule", "strokeWidth": 7, "opacity": 0.3, **SILENT},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": looks["color"]},
        },
        {
            "mark": {**down, "type": "tick", "thickness": 2.5, "size": 16, "opacity": 1, **SILENT},
            "encoding": {"x": {**x, "field": "mean"}, "color": looks["color"], "opacity": FADED},
        },
        {
            "params": [zoom("x"), LEGEND],
            "transform": [_EACH_SEED],
            "mark": {**down, "type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {"x": x, **looks, "opacity": FADED, **said},
        },
    ]


def _table(rows: Sequence[Row]) -> Table:
    lines = [
        [
            clean_line(row.name),
            percent(row.score("miou").mean),
            percent_interval(row.statistics.interval),
            ", ".join(f"{percent(score)} ({seed})" for seed, score in row.by_seed("miou").items()) or MISSING,
        ]
        for row in rows
    ]
    return Table(["method", "mIoU [%]", "95 % interval", "of each (seed)"], lines, "mIoU of each seed [%]", (0, 3))
