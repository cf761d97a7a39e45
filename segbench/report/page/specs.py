"""What the specifications of all charts have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.shown import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
# Keeps the rows that the reader asks for: the filter is a text, never an expression.
KEEP = {"filter": "indexof(lower(datum.name), lower(filter)) >= 0"}
# A wheel or a finger that passes over a chart scrolls the page; with the shift key the wheel zooms.
_WITH_SHIFT = "wheel![event.shiftKey]"
_BY_MOUSE = "[pointerdown[event.pointerType !== 'touch'], window:pointerup] > window:pointermove!"
ZOOM_NOTE = "Shift and wheel zooms, dragging moves, a double click goes back."


# What every object of JavaScript has: Vega looks names up in objects, and would find these there.
_TAKEN = {
    *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString"),
    *("valueOf", "__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__"),
}

# As many ticks as the width has room for.
TICKS: Spec = {"tickCount": {"expr": "ceil(width / 75)"}}
# What stands beside the marks of data: nothing is said of it under the pointer, and keys do not walk to it.
SILENT: Spec = {"aria": False, "tooltip": None}


def begin_spec(title: str, values: Sequence[dict[str, Any]], *params: Spec, data: str = "rows") -> Spec:
    """Return a specification as wide as its place, without marks, of rows with the fields `name` and `family`."""
    return {
        "$schema": SCHEMA,
        "title": title,
        "description": title,
        "width": "container",
        "params": [{"name": "filter", "value": ""}, *params],
        "data": {"name": data, "values": [{field: _clean(value) for field, value in row.items()} for row in values]},
    }


def _clean(value: Any) -> Any:
    """Return a text, or a list of texts, as the page shows it: what draws PDFs ends the process at what is no text."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [clean(text) for text in value]
    if isinstance(value, str):
        return clean(value) + "\u00a0" * (value in _TAKEN)
    return value


def describe(*fields: tuple[str, str] | tuple[str, str, str]) -> Spec:
    """Return the channel of what stands under the pointer: fields with their titles, and perhaps a format."""
    named = [
        {"field": field, "title": title, **({"format": form[0]} if form else {})} for field, title, *form in fields
    ]
    return {"tooltip": named}


def zoom(*channels: str) -> Spec:
    """Return the parameter with which a reader zooms some channels, "x" or "y"."""
    select = {"type": "interval", "encodings": list(channels), "zoom": _WITH_SHIFT, "translate": _BY_MOUSE}
    return {"name": "zoom", "select": select, "bind": "scales"}


# Clicks on the legend keep some families, and fade the others; with the shift key several are kept.
LEGEND = {"name": "families", "select": {"type": "point", "fields": ["family"]}, "bind": "legend"}
FADED: Spec = {"condition": {"param": "families", "value": 1}, "value": 0.08}


def mark_place(value: float) -> Spec:
    """Return the layer of a line down at a value across."""
    return {
        "data": {"values": [{"at": value}]},
        "mark": {"type": "rule", "style": "line", "clip": True, **SILENT},
        "encoding": {"x": {"field": "at", "type": "quantitative"}, "y": {"value": 0}, "y2": {"value": "height"}},
    }


def stack_rows(number: int, height: int, most: int) -> Spec:
    """Return what stacks rows by the field `order`, of which the filter keeps some and the first `most` are drawn.

    The height stays as it is for all of these `number` rows, so the axis is best at the top.
    """
    drawn = min(number, most)
    scale = {"domain": [0.5, drawn + 0.5], "reverse": True, "nice": False, "zero": False}
    rank = {"window": [{"op": "dense_rank", "as": "place"}], "sort": [{"field": "order"}]}
    return {
        "height": height * drawn,
        "transform": [KEEP, rank, {"filter": f"datum.place <= {most}"}],
        "encoding": {"y": {"field": "place", "type": "quantitative", "scale": scale, "axis": None}},
    }


def find_domain(values: Iterable[float | None]) -> list[float]:
    """Return the ends of an axis that holds some values and stays as it is whatever the filter keeps.

    >>> find_domain([1.0, None, 2.0]), find_domain([3.0]), find_domain([])
    ([0.95, 2.05], [2.5, 3.5], [0.0, 1.0])
    """
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    edge = 0.05 * (high - low) if known else 0.0
    edge = edge or 0.5 * bool(known)
    return [float(f"{end:.6g}") for end in (low - edge, high + edge)]


def round_to(value: float | None, digits: int = 6) -> float | None:
    """Return a number with so many significant digits, which keep a page small; None for what is not finite.

    >>> round_to(1234.56789), round_to(None), round_to(float("nan"))
    (1234.57, None, None)
    """
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(f"{value:.{digits}g}")
