"""`segbench verify`: run recorded cells again and mark those that come out as recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    Directories,  # noqa: TC001 - typer reads it when it runs
    Json,  # noqa: TC001 - typer reads it when it runs
    Root,  # noqa: TC001 - typer reads it when it runs
)
from .output import INTERRUPTED, SOME_FAILED, print_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from segbench.execute.verify import Answer

FEW = 3  # cells, unless it is said how many
_MOST_TOLD = 5  # of what differs


def verify(
    directories: Directories = None,
    cells: Annotated[
        int | None,
        typer.Option(min=1, help="How many cells to draw. [default: 3, or all of --method]"),
    ] = None,
    method: Annotated[str | None, typer.Option(help="Cells of this method only.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Cells of this benchmark only.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw: the same one draws the same cells.")] = 0,
    root: Root = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="How many cells run at once.")] = 1,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds after which a cell is killed.")] = None,
    json: Json = False,
) -> None:
    """Run a random choice of recorded cells again, in a temporary place, and mark each as reproduced or not.

    On the same kind of processor the counts of every image must be the same bits; else the score must lie in the
    interval of its recipe's seeds. The mark is kept in verified.json beside the cell's other files, and reports show
    it. The exit code is 1 if a cell was not reproduced, or if none could be run.
    """
    from segbench.execute.progress import progress_on
    from segbench.execute.verify import Asked, compared_score, read_score
    from segbench.execute.verify import verify as run_again
    from segbench.plan.repeat import Repeats
    from segbench.registry import load_registry
    from segbench.report.records import identity, read_sources
    from segbench.report.verification import choose_records, same_recipe
    from segbench.store.verification import write_verification

    sources = read_sources(directories or [Path("results")], benchmark)
    asked = []
    for record in choose_records(sources, cells or (None if method else FEW), method, seed):
        name = compared_score(record)
        scores = [read_score(one, name) for one in same_recipe(sources, record)]
        known = tuple(score for score in scores if score is not None)
        asked.append(Asked(record, sources.cell_folders[identity(record)], known))
    repeats = Repeats(load_registry(), root)
    with progress_on(sys.stderr) as listener:
        answers = run_again(asked, repeats, device=device, jobs=jobs, timeout=timeout, listener=listener)
    for answer in answers:
        if answer.mark is not None:
            write_verification(answer.asked.folder, answer.mark)
    print_content([_as_data(answer) for answer in answers], json, lambda _: as_text(answers))
    raise typer.Exit(_exit_code(answers))


def as_text(answers: Sequence[Answer]) -> str:
    """Return a line or two on each cell, and how many came out as recorded."""
    reproduced = sum(answer.mark is not None and answer.mark.is_reproduced for answer in answers)
    refuted = sum(answer.mark is not None and answer.mark.outcome == "not reproduced" for answer in answers)
    not_run = sum(answer.mark is None for answer in answers)
    total = f"{reproduced} of {len(answers)} cells reproduced, {refuted} not, {not_run} could not be run"
    return "\n".join([*(line for answer in answers for line in _describe(answer)), total])


def _describe(answer: Answer) -> list[str]:
    from segbench.plan.cell import cell_label

    record, mark = answer.asked.record, answer.mark
    cell = (
        f"{record.benchmark} / {cell_label(record.dataset, record.subset, record.method, record.seed)} ({record.key})"
    )
    if mark is None:
        return [f"not run         {cell}: {answer.cause}"]
    word = {"undecided": "undecided", "not reproduced": "NOT REPRODUCED"}.get(mark.outcome, "reproduced")
    if mark.outcome == "same bits":
        return [f"{word:<16}{cell}: same bits"]
    numbers = f"{mark.score} {_write(mark.after)}, recorded {_write(mark.before)}"
    interval = f"one more of its {mark.seeds} seeds: [{_write(mark.low)}, {_write(mark.high)}]"
    reach = "one seed gives no interval" if mark.low is None else interval
    told = [*mark.differences[:_MOST_TOLD], *(["and more (--json)"] if len(mark.differences) > _MOST_TOLD else [])]
    return [f"{word:<16}{cell}: {numbers}; {reach}", f"{'':<16}differs: {'; '.join(told)}"]


def _write(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _as_data(answer: Answer) -> dict[str, Any]:
    record = answer.asked.record
    cell = {name: getattr(record, name) for name in ("key", "benchmark", "dataset", "subset", "method", "seed")}
    mark = answer.mark.model_dump(mode="json") if answer.mark else None
    return {**cell, "outcome": answer.mark.outcome if answer.mark else "not run", "cause": answer.cause, "mark": mark}


def _exit_code(answers: Sequence[Answer]) -> int:
    if any(answer.interrupted for answer in answers):
        return INTERRUPTED
    marks = [answer.mark for answer in answers if answer.mark]
    return SOME_FAILED if not marks or any(mark.outcome == "not reproduced" for mark in marks) else 0
