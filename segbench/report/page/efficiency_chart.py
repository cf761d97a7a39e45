"""Label efficiency: what methods make of a share of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.report.formats.curves import efficiency_tables

from .families import encode_family, family_of
from .parts import Chart
from .specs import FADED, KEEP, LEGEND, SILENT, begin_spec, describe, find_domain, round_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.ranking.label_efficiency import Curve, Efficiency

    from .specs import Spec


def draw_efficiency(efficiency: Efficiency) -> Chart:
    """Return the chart of mIoU over the share of the labels, with intervals."""
    title = "mIoU with a share of the labels"
    rows = [next(iter(curve.rows.values())) for curve in efficiency.curves]
    values = [_values(curve) for curve in efficiency.curves]
    domain = find_domain(value for row in values for field in ("miou", "low", "high") for value in row[field])
    spec = begin_spec(title, values)
    spec |= {"height": 300, "transform": [KEEP, _EACH_SHARE]}
    looks = encode_family(rows)
    x = {
        **{"field": "share", "type": "quantitative", "scale": _double(efficiency.fractions)},
        "axis": {
            **{"title": "share of the labels [%]", "values": [100 * share for share in efficiency.fractions]},
            **{"labelExpr": "format(datum.value, '.3~r')", "grid": True},
        },
    }
    spec["encoding"] = {"x": x}
    spec["layer"] = _layers(looks, domain)
    note = "Whiskers: 95 % intervals of the means over seeds and images."
    return Chart("label-efficiency", title, spec, efficiency_tables(efficiency)[0], note)


def _double(fractions: Sequence[float]) -> Spec:
    """Return a scale on which each doubling of the labels is as wide."""
    return {"type": "log", "base": 2, "domain": [85 * fractions[0], 115 * fractions[-1]], "nice": False}


def _values(curve: Curve) -> dict[str, Any]:
    found = [(share, row) for share, row in curve.rows.items() if row.score("miou").mean is not None]
    intervals = [row.statistics.interval for _, row in found]
    return {
        "name": curve.method,
        "family": family_of(next(iter(curve.rows.values()))),
        "share": [100 * share for share, _ in found],
        "miou": [round_to(100 * (row.score("miou").mean or 0.0)) for _, row in found],
        "low": [interval and round_to(100 * interval.low) for interval in intervals],
        "high": [interval and round_to(100 * interval.high) for interval in intervals],
        "last": len(found) - 1,
    }


_EACH_SHARE: Spec = {"flatten": ["share", "miou", "low", "high"]}


def _layers(looks: Spec, domain: list[float]) -> list[Spec]:
    y: Spec = {"field": "miou", "type": "quantitative", "title": "mIoU [%]", "scale": {"domain": domain}}
    said = describe(
        *(("name", "method"), ("family", "family"), ("share", "labels [%]", ".3~r")),
        *(("miou", "mIoU [%]", ".2f"), ("low", "from", ".2f"), ("high", "to", ".2f")),
    )
    is_last = {"joinaggregate": [{"op": "max", "field": "share", "as": "most"}], "groupby": ["name"]}
    return [
        {
            "mark": {"type": "line", **SILENT},
            "encoding": {"y": y, "color": looks["color"], "detail": {"field": "name"}, "opacity": FADED},
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "opacity": 0.6, **SILENT},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": looks["color"]},
        },
        {
            "params": [LEGEND],
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"y": y, **looks, "opacity": FADED, **said},
        },
        {
            "transform": [is_last, {"filter": "datum.share === datum.most"}],
            "mark": {
                **{"type": "text", "style": "label", "align": "right", "dx": -8, "dy": -10, **SILENT},
                "limit": {"expr": "width / 2"},
            },
            "encoding": {"y": y, "text": {"field": "name"}},
        },
    ]
