"""Records become tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .build import build_report
from .formats import as_csv as csv_lines
from .formats import as_json as data
from .formats import text
from .records import read_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segbench.report.ranking.groups import Report

Format = Literal["table", "markdown", "csv", "latex", "json"]

FORMATS = {
    "table": text.terminal,
    "markdown": text.markdown,
    "csv": csv_lines.to_csv,
    "latex": text.latex,
    "json": data.to_json,
}


def render(folders: Sequence[Path], *, benchmark: str | None = None, format: Format = "table") -> str:
    """Return the report of the records in some folders: results roots, single benchmarks' folders, or both.

    The same records give the same text. Nothing in the folders is changed. Raises RecordError if a folder is missing,
    if there are no records, or none of the named benchmark.

        print(render([Path("results")], benchmark="quickstart"))
    """
    return FORMATS[format](load(folders, benchmark=benchmark))


def load(folders: Sequence[Path], *, benchmark: str | None = None) -> Report:
    """Read records and sort them into rankings, with what chance adds to them, without a format; see `render`."""
    return build_report(read_sources(folders, benchmark))
