"""`segbench report`: print what the records hold, as text for readers or as data for programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .completion import complete_recorded_benchmark
from .options import Json, Output
from .output import print_document, print_or_write, say, write_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from segbench.report.formats.layout import Document
    from segbench.report.ranking.groups import Report


Format = Literal["table", "markdown", "csv", "long-csv", "parquet", "latex", "json", "html"]
# A line for each image and class of each cell.
_LONG = ("long-csv", "parquet")
_TEXT = ("table", "markdown", "latex")
# The options that are not for all formats, and the formats that they are for.
_FORMATS = {
    "--full": _TEXT,
    "--explain": _TEXT,
    "--per-class": (*_TEXT, "csv", "json"),
    "--pairs": (*_TEXT, "csv", "json"),
    "--columns": (*_TEXT, "csv"),
    "--pictures-mb": ("html",),
    "--private": ("html",),
}


def report(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR|SELECTOR]...",
            help="Results folders, or single benchmarks' folders in them; several are merged. [default: results] "
            "METHOD@latest, METHOD@KEY and METHOD=DIR show one recipe of a method only.",
        ),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Report this benchmark only.", autocompletion=complete_recorded_benchmark)
    ] = None,
    format: Annotated[Format | None, typer.Option(help="How to write it.", show_default="table")] = None,
    json: Json = False,
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
    from segbench.report.formats.columns import split_names

    if json and format not in (None, "json"):
        raise typer.BadParameter(f"--json and --format {format} are two formats; give one")
    format = "json" if json else format or "table"
    names = split_names(columns)
    are_given = (full, explain, per_class, pairs, columns is not None, pictures_mb is not None, private)
    given = [option for option, is_given in zip(_FORMATS, are_given, strict=True) if is_given]
    _check_options(given, format)
    if format == "html" and output is None and sys.stdout.isatty():
        raise typer.BadParameter("a page is for a browser: write it into a file with -o report.html")
    if format == "parquet" and output is None:
        raise typer.BadParameter("parquet is no text: write it into a file with -o scores.parquet")
    found = _load(sources or [], benchmark, format)
    if figures is not None:
        _write_figures(found, figures)  # first: where that fails, the error alone is printed
    if format in _TEXT:
        print_document(_lay_out(found, format, given, names), output, format)
    elif format == "html":
        print_or_write(_page(found, pictures_mb, private), output)
    elif format in _LONG:
        _write_long(found, format, output)
    else:
        print_or_write(_data(found, format, given, names), output)
    if format == "csv" or format in _LONG:
        _print_what_is_left_out(found, "CSV" if format == "csv" else format)


def _check_options(given: Collection[str], format: Format) -> None:
    """Raise BadParameter for options that are not for this format, or not for one another."""
    refused = [option for option in given if format not in _FORMATS[option]]
    if refused:
        allowed = _FORMATS[refused[0]]
        together = " and ".join(option for option in refused if _FORMATS[option] == allowed)
        raise typer.BadParameter(f"{together} cannot be used with --format {format}; allowed are {', '.join(allowed)}")
    if "--columns" in given and not {"--full", "--explain"}.isdisjoint(given):
        raise typer.BadParameter("--columns is one table; leave out --full and --explain")


def _load(sources: Sequence[str], benchmark: str | None, format: Format) -> Report:
    from segbench.report import load
    from segbench.report.build import build_report
    from segbench.report.records import NothingRecordedError
    from segbench.report.selection import split_sources

    directories, selectors = split_sources(sources)
    try:
        return load(directories, benchmark=benchmark, selectors=selectors)
    except NothingRecordedError as error:
        if format != "html":
            raise
        return build_report(error.sources)  # a page that says so, to be looked at again


def _page(found: Report, pictures_mb: int | None, private: bool) -> str:
    from segbench.report.page.embedding import USUAL, Allowance
    from segbench.report.page.page import to_html

    most = USUAL.bytes if pictures_mb is None else pictures_mb * 10**6
    return to_html(found, allowance=Allowance(most, private))


def _write_long(found: Report, format: Format, output: Path | None) -> None:
    """Write every image and class of every cell, and say on stderr which cells have no counts."""
    from segbench.report.formats.long import read_images, to_long_csv, to_parquet

    images = read_images(found)
    for problem in images.problems:
        say(f"not in the {format}: {problem}", err=True)
    if output is not None and format == "parquet":
        write_bytes(output, to_parquet(images.frame))
    else:
        print_or_write(to_long_csv(images.frame), output)


def _data(found: Report, format: Format, given: Collection[str], names: Sequence[str]) -> str:
    from segbench.report import CLASS_FORMATS, DATA_FORMATS, PAIR_FORMATS
    from segbench.report.formats.as_csv import choose_csv_columns

    formats = PAIR_FORMATS if "--pairs" in given else CLASS_FORMATS if "--per-class" in given else DATA_FORMATS
    text = formats[format](found)
    return choose_csv_columns(text, names) if names else text


def _lay_out(found: Report, format: Format, given: Collection[str], names: Sequence[str]) -> Document:
    """Lay out the text that was asked for; the whole report has the explanations in it."""
    from segbench.report.formats.first_screen import lay_out_first_screen
    from segbench.report.formats.layout import add_class_tables, lay_out_all, lay_out_columns, lay_out_definitions
    from segbench.report.formats.pairs import add_pair_tables

    if names:
        document = lay_out_columns(found, names)
    elif "--explain" in given and "--full" not in given:
        document = lay_out_definitions(found)
    elif "--full" in given or format != "table":
        document = lay_out_all(found)
    else:
        document = lay_out_first_screen(found)
    document = add_class_tables(document, found) if "--per-class" in given else document
    return add_pair_tables(document, found) if "--pairs" in given else document


def _write_figures(found: Report, folder: Path) -> None:
    from segbench.report.page.printing import write_figures

    number = len(write_figures(found, folder))
    say(f"{number} figures written to {folder}" if number else "no figure written: there is nothing to draw", err=True)


def _print_what_is_left_out(found: Report, format: str) -> None:
    """Print on stderr what has no line in a format for programs."""
    from segbench.report.formats.layout import list_failures

    for line in [*list_failures(found), *(f"not read: {problem}" for problem in found.problems)]:
        say(f"not in the {format}: {line}", err=True)
