"""`segbench report`: tables from records."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Directories,  # noqa: TC001 - typer reads them when it runs
    Output,  # noqa: TC001 - typer reads them when it runs
)
from .output import print_or_write

if TYPE_CHECKING:
    from segbench.report.ranking.groups import Report


class ReportFormat(StrEnum):
    """The formats of a report."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"
    JSON = "json"


def report(
    directories: Directories = None,
    benchmark: Annotated[str | None, typer.Option(help="Report this benchmark only.")] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to write it.")] = ReportFormat.TABLE,
    per_class: Annotated[bool, typer.Option("--per-class", help="Add tables of the IoU of each class.")] = False,
    output: Output = None,
) -> None:
    """Print tables of what the records hold: scores with intervals, verdicts, speed, cost, and what failed."""
    from segbench.report import FORMATS, load

    found = replace(load(directories or [Path("results")], benchmark=benchmark), with_classes=per_class)
    print_or_write(FORMATS[format.value](found), output)
    if format is ReportFormat.CSV:
        _tell_what_csv_leaves_out(found)


def _tell_what_csv_leaves_out(found: Report) -> None:
    """Say on stderr what has no line in the CSV."""
    from segbench.report.formats.layout import failures

    for line in [*failures(found), *(f"not read: {problem}" for problem in found.problems)]:
        typer.echo(f"not in the CSV: {line}", err=True)
