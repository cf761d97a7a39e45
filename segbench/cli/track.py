"""`segbench track`: mirror recorded cells in TensorBoard or MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Directories, OnlyBenchmark
from .output import say, warn


def track(
    to: Annotated[
        str,
        typer.Option(
            metavar="TOOL[=PLACE]", help="tensorboard[=FOLDER], by default runs, or mlflow[=URI], by default its own."
        ),
    ],
    directories: Directories = None,
    benchmark: OnlyBenchmark = None,
) -> None:
    """Mirror recorded cells in TensorBoard or MLflow: recipe, curves, scores, speed, cost and how each ended.

    What is there already is found by its key, and only written again where records have changed.
    """
    from segbench.report.cells import list_cells
    from segbench.report.numbers import plural
    from segbench.tracking.mirror import Mirror

    cells, problems = list_cells(directories or [Path("results")], benchmark)
    warn(*(f"not read: {problem}" for problem in problems))
    mirror = Mirror(to)
    # Of a cell that is recorded in several folders one record, and rather one with a result.
    one_each = {cell.record.key: cell for cell in sorted(cells, key=lambda cell: cell.record.status == "ok")}
    new = sum(map(mirror.replay, one_each.values()))
    say(f"{mirror.tracker.place}: {plural(new, 'cell')} mirrored, {len(one_each) - new} were there already")
    say(f"To see them: {mirror.tracker.viewer}")
