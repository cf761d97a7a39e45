"""`segbench report`: print what the records hold, as text for readers or as data for programs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Output  # noqa: TC001 - typer reads it when it runs
from .output import print_or_write, say, terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from segbench.report.formats.layout import Document
    from segbench.report.ranking.groups import Report


class ReportFormat(StrEnum):
    """The formats of a report."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"
    JSON = "json"
    HTML = "html"


def report(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR|SELECTOR]...",
            help="Results folders, or single benchmarks' folders in them; several are merged. [default: results] "
            "METHOD@latest, METHOD@KEY and METHOD=DIR show one recipe of a method only.",
        ),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Report this benchmark only.")] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to write it.")] = ReportFormat.TABLE,
    full: Annotated[
        bool, typer.Option("--full", help="Print all tables and notes (markdown and latex always do).")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print what each number of the report means.")] = False,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Add the IoU of each class; JSON always has it.")
    ] = False,
    pairs: Annotated[
        bool,
        typer.Option("--pairs", help="Add all pairs of methods, each judged alone and among all; CSV: only these."),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME", help="One table of these columns, such as miou,tier,seeds; CSV: its own names."
        ),
    ] = None,
    pictures_mb: Annotated[
        int | None, typer.Option("--pictures-mb", min=0, help="HTML: the most megabytes of pictures. [default: 8]")
    ] = None,
    private: Annotated[
        bool,
        typer.Option("--private", help="HTML: show also images that may not be passed on; keep the page to yourself."),
    ] = False,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the charts into this folder too, for print: SVG and PDF, one and two columns wide.",
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Print what the records hold: scores with intervals, verdicts, and what failed; --full adds speed and cost."""
    from segbench.report import TEXT_FORMATS, load
    from segbench.report.build import build_report
    from segbench.report.formats.columns import split_names
    from segbench.report.formats.layout import add_class_tables, lay_out_columns
    from segbench.report.formats.pairs import add_pair_tables
    from segbench.report.formats.terminal import to_terminal
    from segbench.report.records import NothingRecordedError
    from segbench.report.selection import is_selector, parse_selector

    names = split_names(columns)
    if format not in TEXT_FORMATS:
        _refuse({"--full": full, "--explain": explain}, format, TEXT_FORMATS)
    if format is ReportFormat.HTML:
        _refuse({"--per-class": per_class, "--pairs": pairs}, format, (*TEXT_FORMATS, "csv", "json"))
        if output is None and sys.stdout.isatty():
            raise typer.BadParameter("a page is for a browser: write it into a file with -o report.html")
    else:
        _refuse({"--pictures-mb": pictures_mb is not None, "--private": private}, format, [ReportFormat.HTML])
    if format in (ReportFormat.JSON, ReportFormat.HTML):
        _refuse({"--columns": columns is not None}, format, (*TEXT_FORMATS, "csv"))
    if names and (full or explain):
        raise typer.BadParameter("--columns is one table; leave out --full and --explain")
    selectors = [parse_selector(text) for text in sources or () if is_selector(text)]
    directories = [Path(text) for text in sources or () if not is_selector(text)] or [Path("results")]
    try:
        found = load(directories, benchmark=benchmark, selectors=selectors)
    except NothingRecordedError as error:
        if format is not ReportFormat.HTML:
            raise
        found = build_report(error.sources)  # a page that says so, to be looked at again
    if format is ReportFormat.HTML:
        print_or_write(_page(found, pictures_mb, private), output)
    elif format not in TEXT_FORMATS:
        print_or_write(_data(found, format, pairs, per_class, names), output)
    else:
        document = lay_out_columns(found, names) if names else _layout(format, full, explain)(found)
        document = add_class_tables(document, found) if per_class else document
        document = add_pair_tables(document, found) if pairs else document
        is_table = format is ReportFormat.TABLE
        text = to_terminal(document, terminal_width(output)) if is_table else TEXT_FORMATS[format](document)
        print_or_write(text, output)
    if format is ReportFormat.CSV:
        _print_what_csv_leaves_out(found)
    if figures is not None:
        _write_figures(found, figures)


def _refuse(options: dict[str, bool], format: ReportFormat, text_formats: Iterable[str]) -> None:
    """Raise BadParameter if any of these options is given, which are for formats of text."""
    if given := [option for option, is_given in options.items() if is_given]:
        raise typer.BadParameter(
            f"{' and '.join(given)} cannot be used with --format {format}; allowed are {', '.join(text_formats)}"
        )


def _page(found: Report, pictures_mb: int | None, private: bool) -> str:
    from segbench.report.page.embedding import USUAL, Allowance
    from segbench.report.page.page import to_html

    most = USUAL.bytes if pictures_mb is None else pictures_mb * 10**6
    return to_html(found, allowance=Allowance(most, private))


def _data(found: Report, format: ReportFormat, pairs: bool, per_class: bool, names: Sequence[str]) -> str:
    from segbench.report import CLASS_FORMATS, DATA_FORMATS, PAIR_FORMATS
    from segbench.report.formats.as_csv import choose_csv_columns

    text = (PAIR_FORMATS if pairs else CLASS_FORMATS if per_class else DATA_FORMATS)[format](found)
    return choose_csv_columns(text, names) if names else text


def _layout(format: ReportFormat, full: bool, explain: bool) -> Callable[[Report], Document]:
    """Return what lays out the text that was asked for; the whole report has the explanations in it."""
    from segbench.report.formats.first_screen import lay_out_first_screen
    from segbench.report.formats.layout import lay_out_all, lay_out_definitions

    if explain and not full:
        return lay_out_definitions
    return lay_out_all if full or format is not ReportFormat.TABLE else lay_out_first_screen


def _write_figures(found: Report, folder: Path) -> None:
    from segbench.report.page.printing import write_figures

    number = len(write_figures(found, folder))
    say(f"{number} figures written to {folder}" if number else "no figure written: there is nothing to draw", err=True)


def _print_what_csv_leaves_out(found: Report) -> None:
    """Print on stderr what has no line in the CSV."""
    from segbench.report.formats.layout import list_failures

    for line in [*list_failures(found), *(f"not read: {problem}" for problem in found.problems)]:
        say(f"not in the CSV: {line}", err=True)
