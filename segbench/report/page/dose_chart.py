"""What a method gains over its twin at each dose, and its placebos beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.doses import LOOKS, dose_table
from segbench.report.formats.first_screen import verdict_in_words
from segbench.report.ranking.doses import find_doses
from segbench.stats.verdict import EQUIVALENCE_MARGIN

from .families import encode_family, family_of
from .parts import Chart
from .specs import FADED, KEEP, LEGEND, SILENT, begin_spec, describe, find_domain, round_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.report.ranking.differences import Comparison
    from segbench.report.ranking.doses import DoseCurve
    from segbench.report.ranking.groups import Group

    from .specs import Spec

# Whiskers at one dose stand side by side, each this much further to the right than the one before.
_ASIDE = 1.03


def draw_doses(group: Group) -> Iterator[Chart]:
    """Yield the chart of each method that a ranking has at several doses."""
    for place, curve in enumerate(find_doses(group)):
        yield _draw(curve, "doses" if place == 0 else f"doses-of-{place + 1}")


def _draw(curve: DoseCurve, chart_id: str) -> Chart:
    title = f"Differences of mIoU over the dose of {curve.method}"
    values = list(_values(curve))
    heights = [number for value in values for field in ("difference", "low", "high") for number in value[field]]
    spec = begin_spec(title, values)
    spec |= {"height": 300, "transform": [KEEP, {"flatten": ["dose", "place", *_HEIGHTS, "verdict"]}]}
    spec["encoding"] = {"x": _across(curve)}
    looks = encode_family(one.row for of in curve.series().values() for _, one in of)
    spec["layer"] = [*_background(), *_layers(looks, find_domain([*heights, 0.0]))]
    note = f"Whiskers: intervals of the differences to {curve.twin}. Shaded: up to {_MARGIN:g} points. {LOOKS}"
    return Chart(chart_id, title, spec, dose_table(curve), note)


_HEIGHTS = ("difference", "low", "high")
_MARGIN = 100 * EQUIVALENCE_MARGIN


def _values(curve: DoseCurve) -> Iterator[dict[str, Any]]:
    """Yield the rows of the chart's data: of the method and of each kind of placebo, all doses."""
    for place, (kind, of) in enumerate(curve.series().items()):
        intervals = [one.interval for _, one in of]
        yield {
            "name": f"{curve.method}~{kind} - {curve.twin}" if kind else f"{curve.method} - {curve.twin}",
            "family": family_of(of[0][1].row),
            "dose": [dose for dose, _ in of],
            "place": [dose * _ASIDE**place for dose, _ in of],
            "difference": [_points(one) for _, one in of],
            "low": [interval and round_to(100 * interval.low) for interval in intervals],
            "high": [interval and round_to(100 * interval.high) for interval in intervals],
            "verdict": [verdict_in_words(one) for _, one in of],
        }


def _points(one: Comparison) -> float | None:
    return None if one.miou.mean is None else round_to(100 * one.miou.mean)


def _across(curve: DoseCurve) -> Spec:
    doses = [point.dose for point in curve.points]
    unit = "adversarial weight" if curve.unit == "weight" else "adversarial over supervised gradient"
    return {
        **{"field": "place", "type": "quantitative"},
        "scale": {"type": "log", "domain": [0.8 * doses[0], 1.3 * doses[-1]], "nice": False},
        "axis": {"title": unit, "values": doses, "labelExpr": "format(datum.value, '.3~r')", "grid": True},
    }


def _background() -> Sequence[Spec]:
    """Return the margin within which methods are equivalent, and the line of no difference."""
    across = {"x": {"value": 0}, "x2": {"value": "width"}}
    return [
        {
            "data": {"values": [{"low": -_MARGIN, "high": _MARGIN}]},
            "mark": {"type": "rect", "style": "shade", "clip": True, **SILENT},
            "encoding": {**across, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": [{"zero": 0}]},
            "mark": {"type": "rule", "style": "line", "clip": True, **SILENT},
            "encoding": {**across, "y": {"field": "zero", "type": "quantitative"}},
        },
    ]


def _layers(looks: Spec, domain: list[float]) -> list[Spec]:
    y: Spec = {
        **{"field": "difference", "type": "quantitative", "title": "difference of mIoU [points]"},
        "scale": {"domain": domain},
    }
    said = describe(
        *(("name", "A - B"), ("dose", "dose", ".3~g"), ("difference", "difference [points]", "+.2f")),
        *(("low", "from", "+.2f"), ("high", "to", "+.2f"), ("verdict", "verdict"), ("family", "family of A")),
    )
    is_last = {"joinaggregate": [{"op": "max", "field": "dose", "as": "most"}], "groupby": ["name"]}
    return [
        {
            "mark": {"type": "line", "clip": True, **SILENT},
            "encoding": {"y": y, "color": looks["color"], "detail": {"field": "name"}, "opacity": FADED},
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "opacity": 0.7, "strokeWidth": 2, "clip": True, **SILENT},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": looks["color"]},
        },
        {
            "params": [LEGEND],
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "clip": True},
            "encoding": {"y": y, **looks, "opacity": FADED, **said},
        },
        {
            "transform": [is_last, {"filter": "datum.dose === datum.most"}],
            "mark": {
                **{"type": "text", "style": "label", "align": "right", "dx": -8, "dy": -10, **SILENT},
                "limit": {"expr": "width / 2"},
            },
            "encoding": {"y": y, "text": {"field": "name"}},
        },
    ]
