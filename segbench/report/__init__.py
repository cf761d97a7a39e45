"""Reports: records read, sorted into rankings, and written in one of several formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .build import build_report
from .formats.as_csv import to_csv, to_csv_with_classes
from .formats.as_json import to_json
from .formats.first_screen import lay_out_first_screen
from .formats.latex import to_latex
from .formats.layout import lay_out_all
from .formats.markdown import to_markdown
from .formats.pairs import pairs_to_csv, pairs_to_json
from .formats.terminal import to_terminal
from .ranking.pooling import pool_folds
from .records import read_sources
from .selection import restrict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .formats.layout import Document
    from .ranking.groups import Report
    from .selection import Selector

Format = Literal["table", "markdown", "csv", "latex", "json", "html"]


def _to_html(report: Report) -> str:
    """Return the page of a report, whose modules nothing else needs to import."""
    from .page.page import to_html

    return to_html(report)


# Those that are made of a report itself, without a layout as text.
DATA_FORMATS: dict[str, Callable[[Report], str]] = {"csv": to_csv, "json": to_json, "html": _to_html}
# Those that add the IoU of each class; JSON always has it.
CLASS_FORMATS: dict[str, Callable[[Report], str]] = {"csv": to_csv_with_classes, "json": to_json}
# Those that have all pairs of rows: CSV instead of the rows, JSON beside them.
PAIR_FORMATS: dict[str, Callable[[Report], str]] = {"csv": pairs_to_csv, "json": pairs_to_json}
TEXT_FORMATS: dict[str, Callable[[Document], str]] = {"table": to_terminal, "markdown": to_markdown, "latex": to_latex}


def render(
    folders: Sequence[Path], *, benchmark: str | None = None, format: Format = "table", width: int | None = None
) -> str:
    """Return the report of the records in some folders: results roots, single benchmarks' folders, or both.

    The format "table" is the first screen, for a terminal of `width` columns (None: as wide as its cells); all other
    formats have all results, "html" as one page that works offline. The same records give the same text, and nothing in
    the folders is changed. Raises RecordError if a folder is missing, if there are no records, or none of the named
    benchmark.

        print(render([Path("results")], benchmark="quickstart"))
    """
    report = load(folders, benchmark=benchmark)
    if format in DATA_FORMATS:
        return DATA_FORMATS[format](report)
    if format == "table":
        return to_terminal(lay_out_first_screen(report), width)
    return TEXT_FORMATS[format](lay_out_all(report))


def load(folders: Sequence[Path], *, benchmark: str | None = None, selectors: Sequence[Selector] = ()) -> Report:
    """Read records and sort them into rankings, with intervals and verdicts, without a format; see `render`.

    Of the methods of `selectors` only the recipes are kept that these mean; their folders are read too.
    """
    own = [selector.folder for selector in selectors if selector.folder]
    sources = pool_folds(read_sources(list(dict.fromkeys([*own, *folders])), benchmark))
    return build_report(restrict(sources, selectors))
