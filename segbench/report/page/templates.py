"""Templates of pages, and what they hold: scripts, style, data, and the policy that allows no other scripts.

All of them are inside the file: the policy names their hashes, and allows no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.shown import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

    from segbench.report.formats.layout import Document
    from segbench.report.numbers import Table

# Tables with more cells are put into the document when they are opened.
MOST_CELLS_AT_ONCE = 50
HERE = Path(__file__).parent


@cache
def templates() -> Environment:
    """Return the templates of the page; all text in them is escaped and cleaned."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    found.globals["is_long"] = is_long
    found.filters["initial"] = initial_value
    found.filters["unbroken"] = keep_intervals_whole
    return found


def is_long(table: Table) -> bool:
    """Tell whether a table is put into the document only when it is opened."""
    return len(table.rows) * len(table.headers) > MOST_CELLS_AT_ONCE


def keep_intervals_whole(text: str) -> str:
    r"""Return a sentence whose intervals are on one line with their means.

    >>> keep_intervals_whole("gains +0.8 [-2.1, +3.7] points")
    'gains +0.8\xa0[-2.1,\xa0+3.7] points'
    """
    return re.sub(r"((?<=\d) )?\[[^\[\]]*\]", lambda interval: interval.group().replace(" ", "\u00a0"), text)


def initial_value(spec: Mapping[str, Any], parameter: str) -> Any:
    """Return the value that a parameter of a chart's specification begins with."""
    return next((one.get("value") for one in spec["params"] if one["name"] == parameter), None)


def as_data(content: object) -> Any:
    """Return content as JSON that ends no script element."""
    from markupsafe import Markup

    return Markup(clean(json.dumps(content, ensure_ascii=False, allow_nan=False)).replace("<", "\\u003c"))


def to_fragment(document: Document) -> str:
    """Return tables and lines of a document as HTML without a head; all text in it is escaped and cleaned."""
    return templates().get_template("fragment.html.j2").render(document=document)


@cache
def chart_library() -> str:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed, which sets `window.vegaEmbed`; takes seconds once."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


@cache
def read_asset(name: str) -> str:
    """Return the text of a style or script of the page."""
    return (HERE / name).read_text(encoding="utf-8")


def content_policy(scripts: list[str], styles: list[str]) -> str:
    """Return a Content-Security-Policy under which only these scripts and styles act and nothing is fetched."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
