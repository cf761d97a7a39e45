"""What a method gains over its twin at each dose, and its placebos beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.curves import LOOKS, dose_table
from segbench.report.formats.first_screen import verdict_in_words
from segbench.report.ranking.differences import Contrast
from segbench.report.ranking.doses import find_doses
from segbench.stats.verdict import EQUIVALENCE_MARGIN

from .differences_chart import find_ends, say_what_leaves
from .families import encode_family, family_of
from .parts import Chart
from .specs import FADED, KEEP, LEGEND, SILENT, begin_spec, describe, round_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segbench.report.ranking.differences import Comparison
    from segbench.report.ranking.doses import DoseCurve
    from segbench.report.ranking.groups import Group

    from .specs import Spec

# Whiskers at one dose stand side by side, each this much further to the right than the one before.
_ASIDE = 1.03


def draw_doses(group: Group) -> Iterator[Chart]:
    """Yield the chart of each method that a ranking has at several doses, where its differences are judged."""
    for place, curve in enumerate(find_doses(group)):
        drawn = [one for of in curve.series().values() for _, one in of]
        if judged := [one for one in drawn if isinstance(one, Contrast)]:
            yield _draw(curve, judged, "doses" if place == 0 else f"doses-of-{place + 1}")


def _draw(curve: DoseCurve, judged: Sequence[Contrast], chart_id: str) -> Chart:
    title = f"Differences of mIoU over the dose of {curve.method}"
    low, high = find_ends(judged)
    spec = begin_spec(title, list(_values(curve)))
    spec |= {"height": 300, "transform": [KEEP, {"flatten": _EACH_DOSE}]}
    spec["encoding"] = {"x": _across(curve)}
    spec["layer"] = [*_background(), *_layers(encode_family(one.row for one in judged), [low, high])]
    shown = f"Whiskers: intervals of the differences to {curve.twin}. Shaded: up to {_MARGIN:g} points."
    notes = [shown, LOOKS, *say_what_leaves(judged)]
    return Chart(chart_id, title, spec, dose_table(curve), " ".join(notes))


_EACH_DOSE = ["dose", "place", "named", "difference", "low", "high", "verdict"]
_MARGIN = 100 * EQUIVALENCE_MARGIN
_DASHES = [[1, 0], [8, 3], [3, 3], [10, 3, 2, 3], [2, 2]]  # of the method, and of each kind of placebo


def _values(curve: DoseCurve) -> Iterator[dict[str, Any]]:
    """Yield the rows of the chart's data: of the method and of each kind of placebo, all doses."""
    for place, (kind, of) in enumerate(curve.series().items()):
        intervals = [one.interval for _, one in of]
        # names stand at different doses, since the curves often lie on one another
        named = (len(of) - 1 - place) % len(of)
        yield {
            "name": f"{curve.method}~{kind} - {curve.twin}" if kind else f"{curve.method} - {curve.twin}",
            "family": family_of(of[0][1].row),
            "dash": place,
            "named": [index == named for index in range(len(of))],
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
    dash = {"field": "dash", "type": "ordinal", "legend": None, "scale": {"domain": [0, 1, 2, 3, 4], "range": _DASHES}}
    name = {
        "type": "text",
        "style": "label",
        "align": {"expr": "scale('x', datum.place) > width / 2 ? 'right' : 'left'"},
    }
    return [
        {
            "mark": {"type": "line", "clip": True, **SILENT},
            "encoding": {
                **{"y": y, "color": looks["color"], "strokeDash": dash},
                **{"detail": {"field": "name"}, "opacity": FADED},
            },
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
            "transform": [{"filter": "datum.named"}],
            "mark": {**name, "dx": 8, "dy": -10, "limit": {"expr": "width / 3"}, **SILENT},
            "encoding": {"y": y, "text": {"field": "name"}},
        },
    ]
