"""`segbench submit`: pack recorded cells for a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import OnlyBenchmark, OutputFolder, Results
from .output import say, warn


def submit(
    cells: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...",
            help="Methods, with all their finished cells; METHOD@KEY, METHOD@latest or METHOD=DIR for one recipe; keys "
            "or the beginnings of keys; paths of records.",
        ),
    ],
    output: OutputFolder,
    results: Results = Path("results"),
    benchmark: OnlyBenchmark = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The benchmark file. [default: one that is made of the records]"),
    ] = None,
) -> None:
    """Pack records, counts, the benchmark file they come from and plugin files into a folder for `leaderboard`.

    Cells that these build on come along. The folder is written whole or not at all.
    """
    from segbench.registry import load_registry
    from segbench.report.numbers import plural
    from segbench.report.selection import find_records
    from segbench.report.submission import list_submitted, pack

    sources, chosen = find_records(cells, results, benchmark)
    records = list_submitted(sources, chosen)
    warn(*pack(sources, records, recipe, load_registry(), output))
    methods = ", ".join(dict.fromkeys(record.method for record in records))
    say(f"wrote {output}: {plural(len(records), 'record')} of {methods}")
