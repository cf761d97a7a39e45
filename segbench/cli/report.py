"""`segbench report`: tables from records."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segbench.report.groups import Report


class ReportFormat(StrEnum):
    """The formats of a report."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"
    JSON = "json"


def report(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR]...",
            help="Results folders, or single benchmarks' folders in them; several are merged. [default: results]",
        ),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Report this benchmark only.")] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to write it.")] = ReportFormat.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Print tables of what the records hold: scores over the seeds, speed, cost, and what failed."""
    from segbench.report import FORMATS, load

    found = load(directories or [Path("results")], benchmark=benchmark)
    text = FORMATS[format.value](found)
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text)
        typer.echo(f"wrote {output}", err=True)
    if format is ReportFormat.CSV:
        _tell_what_csv_leaves_out(found)


def _write(output: Path, text: str) -> None:
    from segbench.errors import RecordError

    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(
            f"cannot write the report to {output}: {error.strerror}; name another file with -o"
        ) from error


def _tell_what_csv_leaves_out(found: Report) -> None:
    """Say on stderr what has no line in the CSV."""
    from segbench.report.layout import failures

    for line in [*failures(found), *(f"not read: {problem}" for problem in found.problems)]:
        typer.echo(f"not in the CSV: {line}", err=True)
