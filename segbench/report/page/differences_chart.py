"""The chart that no other page has: paired differences, their intervals, the margin of equivalence, and verdicts."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from segbench.report.formats import tables
from segbench.report.formats.first_screen import verdict_in_words
from segbench.report.numbers import points, points_interval
from segbench.report.ranking.differences import Contrast
from segbench.stats.verdict import EQUIVALENCE_MARGIN

from .families import encode_family, family_of
from .parts import Chart
from .specs import FADED, LEGEND, SILENT, TICKS, ZOOM_NOTE, begin_spec, describe, mark_place, round_to, stack_rows, zoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.ranking.groups import Group

    from .specs import Spec

# Of more differences the first ones that the filter keeps are drawn; the table has all.
MOST_DRAWN = 40
# An interval that reaches this many times as far as usual ones leaves the picture.
_FAR = 4
_ROW_HEIGHT = 56
_KINDS = {
    "twin": "B is the twin of A",
    "claim": "a claim compares A with B",
    "opponent": "B was trained for as many seconds as A",
    "placebo": "B is a placebo of A",
    "placebo's gain": "A is a placebo",
}


def draw_differences(group: Group) -> Chart | None:
    """Return the chart of the judged differences of a ranking; None if there are none."""
    judged = [one for one in group.comparisons if isinstance(one, Contrast)]
    if not judged:
        return None
    title = "Differences of mIoU, A - B"
    spec = begin_spec(title, [{**_values(one), "order": order} for order, one in enumerate(judged)])
    spec |= stack_rows(len(judged), _ROW_HEIGHT, MOST_DRAWN)
    spec["layer"] = [*_background(), *_intervals(judged), *_words()]
    return Chart("differences", title, spec, tables.differences(judged), " ".join(_notes(judged)))


def _values(one: Contrast) -> dict[str, Any]:
    low, high = one.judgement.interval
    difference = 100 * one.judgement.difference.estimate
    return {
        "name": tables.pair_text(one),
        "family": family_of(one.row),
        "difference": round_to(difference),
        "low": round_to(100 * low),
        "high": round_to(100 * high),
        "verdict": verdict_in_words(one),
        "kind": _KINDS.get(one.relation, ""),
        "interval": f"{points(difference / 100)} {points_interval(one.judgement.interval)} points",
        "level": f"{100 * one.judgement.level:.4g} %",
        "seeds": len(one.seeds),
    }


def _background() -> list[Spec]:
    """Return the margin within which methods are equivalent, and the line of no difference."""
    margin = 100 * EQUIVALENCE_MARGIN
    return [
        {
            "data": {"values": [{"low": -margin, "high": margin}]},
            "mark": {"type": "rect", "style": "shade", "clip": True, **SILENT},
            "encoding": {
                **{"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
                **{"y": {"value": 0}, "y2": {"value": "height"}},
            },
        },
        mark_place(0),
    ]


def _intervals(judged: Sequence[Contrast]) -> list[Spec]:
    low, high = find_ends(judged)
    axis = {"title": "difference of mIoU [points], better to the right", "grid": True, "orient": "top", **TICKS}
    scale = {"domain": [round_to(low), round_to(high)], "nice": True, "clamp": True}
    looks = encode_family(one.row for one in judged)
    said = describe(
        *(("name", "A - B"), ("interval", "difference"), ("level", "level of the interval")),
        *(("verdict", "verdict"), ("kind", "relation"), ("seeds", "seeds"), ("family", "family of A")),
    )
    return [
        {
            "mark": {
                "type": "rule",
                "strokeWidth": 3,
                "clip": True,
                "yOffset": 16,
                "strokeCap": "round",
                "aria": False,
            },
            "encoding": {
                **{
                    "x": {"field": "low", "type": "quantitative", "scale": scale, "axis": axis},
                    "x2": {"field": "high"},
                },
                **{"color": looks["color"], "opacity": FADED, **said},
            },
        },
        {
            "params": [zoom("x"), LEGEND],
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1, "yOffset": 16},
            "encoding": {
                "x": {"field": "difference", "type": "quantitative"},
                **{**looks, "opacity": FADED, **said},
            },
        },
    ]


def _words() -> list[Spec]:
    """Return the names and the verdicts above the intervals, where long names have all the width."""
    shared = {"type": "text", "align": "left", "x": 2, "limit": {"expr": "width - 4"}, **SILENT}
    return [
        {
            "mark": {**shared, "style": "label", "fontWeight": "bold", "yOffset": -18},
            "encoding": {"text": {"field": "name"}},
        },
        {
            "transform": [{"calculate": "datum.verdict + ' · ' + datum.interval + ' · ' + datum.kind", "as": "words"}],
            "mark": {**shared, "style": "small", "yOffset": -3},
            "encoding": {"text": {"field": "words"}},
        },
    ]


def find_ends(judged: Sequence[Contrast]) -> tuple[float, float]:
    """Return the ends of the axis, in points: all intervals but for the parts of those that are far wider than most.

    Methods with a discriminator decide where there are any: they differ by little beside what networks differ by. So do
    differences with seeds enough for a verdict: the intervals of two seeds are wider than any scale of interest.
    """
    judged = [one for one in judged if family_of(one.row) in ("adversarial", "placebo")] or judged
    judged = [one for one in judged if one.judgement.obstacle != "few seeds"] or judged
    ends = [(100 * one.judgement.interval.low, 100 * one.judgement.interval.high) for one in judged]
    reach = _FAR * median(max(abs(low), abs(high)) for low, high in ends)
    least = 2 * 100 * EQUIVALENCE_MARGIN
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    estimates = [100 * one.judgement.difference.estimate for one in judged]
    return min(max(low, -reach), *estimates, -least), max(min(high, reach), *estimates, least)


def say_what_leaves(judged: Sequence[Contrast]) -> list[str]:
    """Say that intervals go beyond the ends of the axis, if any does."""
    low, high = find_ends(judged)
    leaves = any(100 * one.judgement.interval.low < low or 100 * one.judgement.interval.high > high for one in judged)
    return ["What leaves the picture is drawn at its edge; the table has all numbers."] if leaves else []


def _notes(judged: Sequence[Contrast]) -> list[str]:
    margin = 100 * EQUIVALENCE_MARGIN
    notes = [
        f"Shaded: differences up to {margin:g} points, which are equivalent. A verdict needs the whole interval on one "
        "side of 0, or inside the margin; intervals are adjusted (Holm) so that all verdicts of a ranking hold at "
        "once.",
        *say_what_leaves(judged),
    ]
    if len(judged) > MOST_DRAWN:
        notes.append(f"The first {MOST_DRAWN} of {len(judged)} differences are drawn; the filter shows others.")
    return [*notes, ZOOM_NOTE]
