"""`segbench verify`: run recorded cells again and mark those that come out as recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Directories, Json, OnlyBenchmark, OnlyMethod, Root, Timeout
from .output import INTERRUPTED, SOME_FAILED, columns, print_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from segbench.execute.verify import Answer
    from segbench.store.record import Record
    from segbench.store.verification import Verification

FEW = 3  # cells, unless it is said how many
_MOST_TOLD = 5  # of what differs


def verify(
    directories: Directories = None,
    cells: Annotated[
        int | None,
        typer.Option(min=1, help="How many cells to draw. [default: 3, or all of --method]"),
    ] = None,
    method: OnlyMethod = None,
    benchmark: OnlyBenchmark = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw: the same one draws the same cells.")] = 0,
    root: Root = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep here what was run; a stopped verification goes on from it. [default: a temporary folder]",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N, or auto for the kind of device that a cell was recorded on.")
    ] = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="How many cells run at once.")] = 1,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Run a random choice of recorded cells again, spread over methods, and mark each as reproduced or not.

    On the same kind of processor the counts of every image must be the same bits; else, and where code has changed, the
    score must lie as near to the recorded one as seeds of its recipe lie to each other. The mark is kept in
    verified.json beside the cell's other files, and reports show it. The exit code is 1 if a cell was not reproduced,
    or if none could be run.
    """
    from segbench.execute.judge import Asked, compared_score, read_score
    from segbench.execute.progress import progress_on
    from segbench.execute.verify import verify as run_again
    from segbench.plan.repeat import Repeats
    from segbench.registry import load_registry
    from segbench.report.records import identity, read_sources
    from segbench.report.verification import choose_records, other_seeds
    from segbench.store.verification import write_verification

    directories = directories or [Path("results")]
    _check_is_apart(results, directories)
    sources = read_sources(directories, benchmark)
    asked = []
    for record in choose_records(sources, cells or (None if method else FEW), method, seed):
        name = compared_score(record)
        others = [[read_score(one, name) for one in group] for group in other_seeds(sources, record)]
        known = [[score for score in group if score is not None] for group in others]
        asked.append(Asked(record, sources.cell_folders[identity(record)], known))
    repeats = Repeats(load_registry(), root)
    with progress_on(sys.stderr) as listener:
        answers = run_again(
            asked, repeats, device=device, results=results, jobs=jobs, timeout=timeout, listener=listener
        )
    for answer in answers:
        if answer.mark is not None:
            write_verification(answer.asked.folder, answer.mark)
    print_content({"cells": [_as_data(answer) for answer in answers]}, json, lambda _: as_text(answers))
    raise typer.Exit(_exit_code(answers))


def _check_is_apart(results: Path | None, directories: Sequence[Path]) -> None:
    """Raise RecordError if what is run would lie among the records that it is compared with."""
    from segbench.errors import RecordError

    for directory in directories:
        if results is not None and results.resolve().is_relative_to(directory.resolve()):
            raise RecordError(
                f"--results {results} lies in {directory}, whose records are verified; name another folder"
            )


def as_text(answers: Sequence[Answer]) -> str:
    """Return a table of the cells, below it what is to be said of some, and how many came out as recorded."""
    from segbench.report.numbers import plural

    outcomes = [answer.mark.outcome if answer.mark else "not run" for answer in answers]
    reproduced = sum(answer.mark is not None and answer.mark.is_reproduced for answer in answers)
    told = ("not reproduced", "not"), ("undecided", "undecided"), ("not run", "could not be run")
    rest = ", ".join(f"{outcomes.count(outcome)} {word}" for outcome, word in told)
    table = columns([_HEADERS, *map(_row, answers)])
    reasons = [line for answer in answers for line in _explain(answer)]
    return "\n".join([table, *reasons, f"{reproduced} of {plural(len(answers), 'cell')} reproduced, {rest}"])


_HEADERS = ("mark", "cell", "score", "recorded", "now", "a repeat lies in")


def _row(answer: Answer) -> tuple[str, ...]:
    cell, mark = _name(answer.asked.record), answer.mark
    if mark is None:
        return "not run", cell, "", "", "", ""
    word = "NOT REPRODUCED" if mark.outcome == "not reproduced" else mark.outcome
    return word, cell, mark.score, _write(mark.before), _write(mark.after), _write_interval(mark)


def _write_interval(mark: Verification) -> str:
    return "" if mark.low is None else f"[{_write(mark.low)}, {_write(mark.high)}]"


def _explain(answer: Answer) -> list[str]:
    """Say of a cell why it has not come out with the same bits, or could have not, and what its interval is from."""
    mark, cell = answer.mark, f"{_name(answer.asked.record)} ({answer.asked.record.key})"
    if mark is None:
        return [f"{cell} was not run: {answer.cause}"]
    told = [*mark.differences[:_MOST_TOLD], *(["and more (--json)"] if len(mark.differences) > _MOST_TOLD else [])]
    if mark.outcome == "same bits":
        return [f"{cell} has the same bits although: {'; '.join(told)}"] if told else []
    return [f"{cell} differs: {'; '.join(told)}", f"  {_explain_interval(mark)}"]


def _explain_interval(mark: Verification) -> str:
    if mark.low is not None:
        where = f"from the spread of its recipe's other cells ({mark.seeds - 1})"
        return f"the interval is {where}; 95 % for all drawn cells ({mark.together}) together"
    if mark.outcome == "undecided":
        return f"its recipe's other cells ({mark.seeds - 1}) do not tell how near a repeat lies"
    return "the same bits were to be expected"


def _name(record: Record) -> str:
    from segbench.plan.cell import cell_label

    return f"{record.benchmark} / {cell_label(record.dataset, record.subset, record.method, record.seed)}"


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
