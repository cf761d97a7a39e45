"""Charts as Vega draws them: what their layers show, and what the compiler has to say of them."""

from __future__ import annotations

import json

import vl_convert

from segbench.report.page.families import LIGHT
from segbench.report.ranking.groups import rank_records
from segbench.report.records import Sources

WIDTH = 680


def rank(*records):
    """Return the one ranking that records make, without counts."""
    (group,) = rank_records(Sources(records, (), ()))
    return group


def draw(chart, **params):
    """Return the items that a chart draws by kind of mark ("text", "symbol", ...), with parameters set as by a reader.

    A compiler that warns prints on stderr; the fixture `nothing_printed` sees it.
    """
    spec = json.loads(json.dumps(chart.spec, allow_nan=False)) | {"width": WIDTH}
    for param in spec["params"]:
        param.update({"value": params[param["name"]]} if param["name"] in params else {})
    vl_convert.vegalite_to_vega(spec, show_warnings=True, config=LIGHT)
    found = {}
    _collect(vl_convert.vegalite_to_scenegraph(spec, config=LIGHT)["scenegraph"], found)
    return found


def texts(chart, **params):
    """Return the texts that a chart writes into its picture, those of axes and legends left out."""
    return [item["text"] for item in draw(chart, **params).get("text", []) if "text" in item]


def values(chart):
    """Return the rows of a chart's data."""
    return chart.spec["data"]["values"]


def _collect(item, found):
    if isinstance(item, dict):
        if item.get("role") == "mark" and "marktype" in item:
            found.setdefault(item["marktype"], []).extend(item.get("items", []))
        for inner in item.get("items", []):
            if item.get("role") not in ("axis", "legend", "title"):
                _collect(inner, found)
