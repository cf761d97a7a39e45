"""Command-line arguments that several commands share, and how their values are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segbench.contract import KINDS
from segbench.errors import ComponentError, SpecError, nearest

from .completion import (
    complete_benchmark,
    complete_method,
    complete_recorded_benchmark,
    complete_recorded_method,
)

if TYPE_CHECKING:
    from segbench.contract import Kind
    from segbench.plan.plan import Plan


Benchmark = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A packaged benchmark by its name, or a file by its path.",
        autocompletion=complete_benchmark,
    ),
]

BenchmarkFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A benchmark file, or a packaged one by its name.", autocompletion=complete_benchmark
    ),
]

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the file, as in protocol.budget.epochs=3; repeatable."),
]

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="METHOD",
        help="Only this method and what it needs; repeatable.",
        autocompletion=complete_method,
    ),
]

Seeds = Annotated[str | None, typer.Option("--seeds", metavar="0,1,2", help="These seeds instead of the file's.")]
TestFolds = Annotated[
    str | None,
    typer.Option("--folds", metavar="1,2", help="Only these test folds of datasets that are cross-validated."),
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of the records.")]

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]


def parse_jobs(given: str | int) -> int | Literal["auto"]:
    """Return the value of --jobs; ValueError if it is neither auto nor a number from 1 on."""
    if given == "auto":
        return "auto"
    if not str(given).isdecimal() or int(given) < 1:
        raise ValueError(f"must be a number from 1 on, or auto, not {given!r}")
    return int(given)


Jobs = Annotated[
    Any,  # int | Literal["auto"], which typer does not know
    typer.Option(
        *("--jobs", "--jobs-per-device"), metavar="N|auto", parser=parse_jobs, help="Cells at once, on each device."
    ),
]
Timeout = Annotated[float | None, typer.Option("--timeout", min=1, help="Seconds after which a cell is killed.")]
MemoryLimit = Annotated[
    float | None,
    typer.Option(
        "--memory-limit",
        metavar="GB",
        min=0.1,
        help="Memory beyond which a cell is killed. [default: its share of 90 % of the machine's]",
    ),
]
CheckpointEvery = Annotated[
    float,
    typer.Option(
        "--checkpoint-every", metavar="SECONDS", min=0, help="How often a cell saves what it can resume from."
    ),
]

Directories = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[DIR]...",
        help="Results folders, or single benchmarks' folders in them; several are merged. [default: results]",
    ),
]

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder that is written.")]

OnlyBenchmark = Annotated[
    str | None,
    typer.Option("--benchmark", help="Cells of this benchmark only.", autocompletion=complete_recorded_benchmark),
]
OnlyMethod = Annotated[
    str | None,
    typer.Option("--method", help="Cells of this method only.", autocompletion=complete_recorded_method),
]

CellArgument = Annotated[
    str | None,
    typer.Argument(
        help="A record's path, its key or the beginning of it, or METHOD@KEY, METHOD@latest, METHOD=DIR. "
        "Left out with --method."
    ),
]
CellMethod = Annotated[
    str | None,
    typer.Option("--method", metavar="M", help="The cell of this method, which may have @KEY, @latest or =DIR."),
]
CellSeed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="The cell of --method with this seed.")
]

Root = Annotated[str | None, typer.Option("--root", help="Folder of the dataset's files; else $SEGBENCH_DATA/NAME.")]

DatasetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Option of the dataset, as 'classes=[road, car]'; repeatable.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def find_cell(cell: str | None, method: str | None, seed: int | None, results: Path) -> Path:
    """Return the record of the cell that `--method M --seed N` name, or else a path, a key or a selector."""
    from segbench.report.selection import find_cell_record, find_one_record

    if seed is not None and method is None:
        raise typer.BadParameter("--seed is for --method M; give that too, or the key of a cell alone")
    if method is not None and cell is None:
        return find_one_record(method, results, seed)
    if cell is not None and method is None:
        return find_cell_record(cell, results)
    raise typer.BadParameter("give a cell, or else --method M and its --seed N")


def open_selected(
    benchmark: str,
    sets: list[str] | None,
    only: list[str] | None,
    seeds: str | None,
    folds: str | None,
    threads: int | None = None,
) -> Plan:
    """Return the plan of what options select of a benchmark; errors as `open_plan`."""
    from segbench.plan.plan import open_plan

    return open_plan(
        benchmark,
        sets=sets or (),
        only=only or (),
        seeds=parse_numbers("--seeds", seeds),
        folds=parse_numbers("--folds", folds),
        threads=threads,
    )


def parse_options(given: list[str]) -> dict[str, Any]:
    """Read KEY=VALUE pairs; a value is YAML as for `--set` (3, true, [a, b]), and nothing is an empty text."""
    options: dict[str, Any] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not of the form KEY=VALUE, such as 'classes=[road, car]'")
        options[key] = read_value(text, f"--option {pair}") if text else ""
    return options


def read_value(text: str, given: str) -> Any:
    """Return what a text is as YAML in a benchmark file; SpecError, with what was `given`, if it is none."""
    from segbench.config.yaml import Place, read_text

    return read_text(text, Place(given, Path.cwd())).plain()


def parse_size(text: str) -> tuple[int, int]:
    """Return the height and width of HEIGHTxWIDTH; SpecError if it is not that.

    >>> parse_size("360x480")
    (360, 480)
    """
    match = re.fullmatch(r"([1-9][0-9]*)[x×]([1-9][0-9]*)", text)
    if match is None:
        raise SpecError(f"--size {text}: write height and width in pixels, such as 360x480")
    return int(match[1]), int(match[2])


def parse_numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of an option as `--seeds 0,1,2`, None where it is not given; SpecError if they are not whole.

    >>> parse_numbers("--seeds", "0,1, 2")
    (0, 1, 2)
    """
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SpecError(f"{option} {text}: write whole numbers with commas between, such as 0,1,2") from error


PLURALS: dict[Kind, str] = {
    "generator": "generators",
    "discriminator": "discriminators",
    "loss": "losses",
    "dataset": "datasets",
}


def parse_kind(text: str) -> Kind:
    """Return the kind written in singular or plural; ComponentError names the kinds."""
    for kind in KINDS:
        if text.lower() in (kind, PLURALS[kind]):
            return kind
    known = [*KINDS, *PLURALS.values()]
    raise ComponentError(f"unknown kind {text!r}.{nearest(text, known)} Available: {', '.join(KINDS)}.")
