"""`segbench leaderboard`: a folder of pages over benchmarks and methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import OutputFolder
from .output import SOME_FAILED, say


def leaderboard(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Results folders, submissions that `segbench submit` made, and folders of these.",
        ),
    ],
    output: OutputFolder,
) -> None:
    """Write a leaderboard: an index, a page for each benchmark and each method, and the data as JSON and CSV.

    Submissions are checked: scores must follow from the counts, data, labels and protocol be those of the benchmark in
    the results folders (where none is given, of the first submission). What is refused is named here and on the index,
    and the exit code is 1 then. The folder is written whole or not at all, and works from file:// without a network.
    """
    from segbench.report.numbers import plural
    from segbench.report.site.build import write_site

    content, refusals = write_site(directories, output)
    counts = {"benchmark": content.benchmarks, "method": content.methods, "refusal": refusals}
    told = ", ".join(plural(len(found), noun) for noun, found in counts.items())
    say(f"wrote {output / 'index.html'}: {told}")
    for refusal in refusals:
        say(f"refused: {refusal}", err=True)
    if refusals:
        raise typer.Exit(SOME_FAILED)
