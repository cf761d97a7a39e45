"""Scripts and style of the page, the library of its charts, and the policy that allows no others.

All of them are inside the file: the policy names their hashes, and allows no request.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


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
