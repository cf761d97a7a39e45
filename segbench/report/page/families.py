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
    # By the width of the place, since that of the plot is not final when Vega makes room for the legend.
    columns = {"expr": "(containerSize()[0] || width) < 480 ? 2 : 6"}
    legend = {"orient": "top", "title": None, "columns": columns, "symbolOpacity": 1}
    shared = {"field": "family", "type": "nominal", "title": "family", "legend": legend}
    return {
        "color": {**shared, "scale": {"domain": families, "range": [LOOKS[family].colour for family in families]}},
        "shape": {**shared, "scale": {"domain": families, "range": [LOOKS[family].shape for family in families]}},
    }


def _configure(ink: str, font: str, size: int) -> dict[str, Any]:
    """Return a configuration of Vega-Lite: one ink, which stands back by opacity, and the size of text in pixels.

    The styles are `label` and `small` (text), `quiet` (marks that stand back), `line` (rules) and `shade` (areas).
    """
    return {
        "background": "transparent",
        "font": font,
        "padding": 4,
        "view": {"stroke": None},
        "title": {"color": ink, "anchor": "start", "fontSize": size + 1},
        "axis": {
            **{"labelColor": ink, "titleColor": ink, "titleFontWeight": "normal", "labelFontSize": size - 1},
            **{"titleFontSize": size, "gridColor": ink, "gridOpacity": 0.12},
            **{"domainColor": ink, "domainOpacity": 0.6, "tickColor": ink, "tickOpacity": 0.6},
        },
        "legend": {
            **{"labelColor": ink, "titleColor": ink, "titleFontWeight": "normal"},
            **{"labelFontSize": size, "titleFontSize": size, "labelLimit": 240},
        },
        "style": {
            "label": {"color": ink, "fill": ink, "fontSize": size},
            "small": {"color": ink, "fill": ink, "fontSize": size - 1, "opacity": 0.8},
            "quiet": {"color": ink, "fill": ink, "stroke": ink, "fillOpacity": 0.35, "strokeOpacity": 0.35},
            "line": {"color": ink, "stroke": ink, "strokeOpacity": 0.6},
            "shade": {"color": ink, "fill": ink, "fillOpacity": 0.1},
        },
    }


LIGHT = _configure("#1b1f24", "system-ui, sans-serif", 12)
DARK = _configure("#e8eaed", "system-ui, sans-serif", 12)
PRINT = {**_configure("#000000", "Helvetica, Arial, sans-serif", 10), "background": "white"}
