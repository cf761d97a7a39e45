"""The heat map of scores by class and method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.numbers import MISSING, Table, percent
from segbench.shown import clean_line
from segbench.store.record import PerClass

from .families import family_of
from .parts import Chart, Choice
from .specs import KEEP, SILENT, begin_spec, describe, find_domain, round_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row

    from .specs import Spec

# Of more cells the first methods that the filter keeps are drawn.
MOST_CELLS = 1000
# So many cells have their numbers written into them, where they are wide enough.
_MOST_WRITTEN = 300
# The names of so many methods have room side by side, slanted.
_MOST_SLANTED = 16
_NAMES = {"iou": "IoU", "boundary_iou": "boundary IoU", "boundary_f1": "boundary F1"}


def draw_classes(group: Group) -> Chart | None:
    """Return the heat map of the scores by class of a ranking's rows; None if no row has any."""
    rows = [row for row in group.rows if row.class_scores("iou")]
    if not rows:
        return None
    number = max(len(row.class_scores("iou")) for row in rows)
    names = next((row.classes for row in rows if row.classes), None) or [f"class {one}" for one in range(number)]
    scores = {
        score: f"{_NAMES[score]} [%]" for score in PerClass.model_fields if any(row.class_scores(score) for row in rows)
    }
    most = max(1, MOST_CELLS // number)
    title = "Scores by class"
    values = [_values(row, scores) for row in rows]
    domains = {score: _find_domain(value for row in values for value in row[score]) for score in scores}
    params: list[Spec] = [
        *({"name": "score", "value": "iou"}, {"name": "domains", "value": domains}),
        {"name": "classes", "value": list(names)},
    ]
    spec = begin_spec(title, values, *params)
    spec |= {
        "height": 22 * number,
        "transform": _transform(most),
        "encoding": _position(min(most, len(rows))),
        "layer": _layers(len(rows) * number),
    }
    note = f"The first {most} of {len(rows)} methods are drawn; the filter shows others." if most < len(rows) else ""
    table = _table(rows[:most], names, scores)
    return Chart("classes", title, spec, table, note, (Choice("score", "score", scores),))


def _values(row: Row, scores: dict[str, str]) -> dict[str, Any]:
    found = {score: [round_to(value and 100 * value) for value in row.class_scores(score)] for score in scores}
    return {"name": row.name, "family": family_of(row), **found}


def _transform(most: int) -> list[Spec]:
    return [
        KEEP,
        {"window": [{"op": "row_number", "as": "place"}]},
        {"filter": f"datum.place <= {most}"},
        {"calculate": "datum[score]", "as": "value"},
        {"calculate": "classes", "as": "class"},
        {"flatten": ["value", "class"]},
        {"filter": "isValid(datum.value)"},
    ]


def _find_domain(scores: Iterable[float | None]) -> list[float]:
    """Return the ends of the colours, which no score in percent lies beyond."""
    return [min(100.0, max(0.0, end)) for end in find_domain(scores)]


def _position(methods: int) -> Spec:
    """Return the channels of places; names of many methods stand upright, those left out that would overlap."""
    labels = {"labelAngle": -35} if methods <= _MOST_SLANTED else {"labelAngle": -90, "labelOverlap": "greedy"}
    return {
        "x": {
            **{"field": "name", "type": "nominal", "sort": None, "title": None},
            "axis": {"orient": "top", **labels, "labelLimit": 120, "domain": False, "ticks": False},
        },
        "y": {
            **{"field": "class", "type": "nominal", "sort": None, "title": None},
            "scale": {"domain": {"expr": "classes"}},
            "axis": {"labelLimit": 110, "domain": False, "ticks": False},
        },
    }


# The upper half of the colours is light.
_IS_LIGHT = "datum.value > 0.5 * (domains[score][0] + domains[score][1])"


def _layers(cells: int) -> list[Spec]:
    legend = {"orient": "bottom", "title": "score of the class [%]", "gradientLength": 160}
    scale = {"scheme": "cividis", "domain": {"expr": "domains[score]"}}
    said = describe(("name", "method"), ("class", "class"), ("value", "score [%]", ".2f"))
    written = {
        "mark": {"type": "text", "fontSize": 11, "opacity": {"expr": "bandwidth('x') < 34 ? 0 : 1"}, **SILENT},
        "encoding": {
            "text": {"field": "value", "type": "quantitative", "format": ".1f"},
            "color": {"condition": {"test": _IS_LIGHT, "value": "#000000"}, "value": "#ffffff"},
        },
    }
    colour = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}
    return [
        {"mark": {"type": "rect", "stroke": None}, "encoding": {"color": colour, **said}},
        *([written] if cells <= _MOST_WRITTEN else []),
    ]


def _table(rows: Sequence[Row], names: Sequence[str], scores: dict[str, str]) -> Table:
    found = [[row.class_scores(score) for score in scores] for row in rows]
    lines = [
        [clean_line(name), *(" / ".join(_text(of, place) for of in by_score) for by_score in found)]
        for place, name in enumerate(names)
    ]
    title = f"{' / '.join(_NAMES[score] for score in scores)} by class [%]"
    return Table(["class", *(clean_line(row.name) for row in rows)], lines, title)


def _text(scores: list[float | None], place: int) -> str:
    return percent(scores[place]) if place < len(scores) else MISSING
