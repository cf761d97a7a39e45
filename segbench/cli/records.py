"""`segbench records`: list the recorded cells, one a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import Directories, Json, OnlyBenchmark
from .output import columns, print_content, warn

if TYPE_CHECKING:
    from collections.abc import Sequence


def records(
    directories: Directories = None,
    benchmark: OnlyBenchmark = None,
    json: Json = False,
) -> None:
    """List the recorded cells: key, what each is, status, when it began (UTC), code, and its size on the disk.

    Cells with the same code ran the same version of segbench and the same sources of their components.
    """
    from segbench.report.cells import describe_cell, list_cells

    cells, problems = list_cells(directories or [Path("results")], benchmark)
    warn(*(f"not read: {problem}" for problem in problems))
    print_content({"cells": [describe_cell(cell) for cell in cells]}, json, lambda found: as_text(found["cells"]))


def as_text(cells: Sequence[dict[str, Any]]) -> str:
    """Return a line for each cell, then their number and size; a column that all cells lack is left out."""
    from segbench.execute.processes import format_bytes
    from segbench.report.numbers import plural

    rows = [[_text(name, cell[name]) for name in _SHOWN] for cell in cells]
    kept = [place for place, texts in enumerate(zip(*rows, strict=True)) if any(texts)]
    table = [[row[place] for place in kept] for row in (list(_SHOWN.values()), *rows)]
    total = format_bytes(sum(cell["bytes"] for cell in cells))
    return f"{columns(table)}\n{plural(len(cells), 'cell')}, {total}"


_SHOWN = {
    **{"key": "key", "benchmark": "benchmark", "dataset": "dataset", "subset": "subset", "method": "method"},
    **{"seed": "seed", "fold": "fold", "status": "status", "started": "began", "code": "code", "bytes": "size"},
}


def _text(name: str, value: Any) -> str:
    from segbench.execute.processes import format_bytes
    from segbench.shown import clean_line

    if name == "bytes":
        return format_bytes(value)
    if name == "started":
        return str(value or "")[:16].replace("T", " ")
    if value is None or (name, value) == ("subset", "all"):
        return ""
    return clean_line(str(value))
