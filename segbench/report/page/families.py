"""Families of methods: the colour, the shape and the order in which each has its place in every chart and table.

Colours are those of Okabe and Ito (2008), which stay apart for all kinds of colour vision; a shape says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from segbench.report import cell_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.report.ranking.rows import Row

Family = Literal["supervised", "adversarial", "placebo", "refined", "semi-supervised or tuned", "scored only"]


class Look(NamedTuple):
    """How a family is drawn: a colour, and the name that Vega has for a shape."""

    colour: str
    shape: str


LOOKS: dict[Family, Look] = {
    "supervised": Look("#0072B2", "circle"),
    "adversarial": Look("#D55E00", "triangle-up"),
    "placebo": Look("#E69F00", "cross"),
    "refined": Look("#009E73", "square"),
    "semi-supervised or tuned": Look("#CC79A7", "diamond"),
    "scored only": Look("#56B4E9", "triangle-down"),
}


def family_of(row: Row) -> Family:
    """Return the family of a row's method; of several that fit, the one that says most of what is compared."""
    record = row.records[0]
    if row.scored_only:
        return "scored only"
    if row.placebo_of:
        return "placebo"
    if row.base:
        return "refined"
    if cell_spec.sets(record, "discriminator") or row.verdicts:
        return "adversarial"
    if any(cell_spec.sets(record, key) for key in ("unlabelled", "trains_on", "tuning")):
        return "semi-supervised or tuned"
    return "supervised"


def encode_family(rows: Iterable[Row]) -> dict[str, Any]:
    """Return the channels of Vega-Lite that draw the field `family` of some rows as colour and shape, with a legend."""
    present = {family_of(row) for row in rows}
    families = [family for family in get_args(Family) if family in present]
    legend = {"orient": "top", "title": None, "columns": {"expr": "width < 480 ? 2 : 6"}, "symbolOpacity": 1}
    shared = {"field": "family", "type": "nominal", "title": "family", "legend": legend}
    return {
        "color": {**shared, "scale": {"domain": families, "range": [LOOKS[family].colour for family in families]}},
        "shape": {**shared, "scale": {"domain": families, "range": [LOOKS[family].shape for family in families]}},
    }


def _configure(text: str, quiet: str, line: str, shade: str) -> dict[str, Any]:
    """Return a configuration of Vega-Lite in some colours.

    The styles are `label` (text), `small` (further text), `quiet` (marks that stand back), `line` (rules) and `shade`
    (areas).
    """
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "padding": 4,
        "view": {"stroke": None},
        "title": {"color": text, "anchor": "start", "fontSize": 13},
        "axis": {
            **{"labelColor": text, "titleColor": text, "titleFontWeight": "normal", "labelFontSize": 11},
            **{"titleFontSize": 12, "gridColor": line, "domainColor": quiet, "tickColor": quiet, "gridOpacity": 0.5},
        },
        "legend": {"labelColor": text, "titleColor": text, "labelFontSize": 12, "labelLimit": 240},
        "text": {"color": text},
        "style": {
            "label": {"color": text, "fill": text, "fontSize": 12},
            "small": {"color": text, "fill": text, "fontSize": 11, "opacity": 0.8},
            "quiet": {"color": quiet, "fill": quiet, "stroke": quiet},
            "line": {"color": quiet, "stroke": quiet},
            "shade": {"color": shade, "fill": shade},
        },
    }


LIGHT = _configure(text="#1b1f24", quiet="#8a9099", line="#d5d9de", shade="#e6e9ed")
DARK = _configure(text="#e8eaed", quiet="#8f98a3", line="#3a4048", shade="#2b3138")
