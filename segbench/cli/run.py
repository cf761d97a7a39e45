"""`segbench run`: train, evaluate and time every method of a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    BYTES_PER_GB,
    Benchmark,
    CheckpointEvery,
    Device,
    Jobs,
    MemoryLimit,
    Only,
    Results,
    Seeds,
    Sets,
    TestFolds,
    Timeout,
    open_selected,
)
from .output import INTERRUPTED, SOME_FAILED, print_document, say

if TYPE_CHECKING:
    from segbench.execute.run import Summary
    from segbench.report.ranking.groups import Report
    from segbench.store.folder import ResultsFolder


PAGE = "report.html"


def run(
    benchmark: Benchmark,
    sets: Sets = None,
    only: Only = None,
    seeds: Seeds = None,
    folds: TestFolds = None,
    results: Results = Path("results"),
    device: Device = "auto",
    jobs: Jobs = 1,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    checkpoint_every: CheckpointEvery = 120.0,
    track: Annotated[
        str | None,
        typer.Option(metavar="TOOL[=PLACE]", help="Mirror cells while they run, as `segbench track --to` does."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the tracebacks of failed cells.")] = False,
) -> None:
    """Run a benchmark, print the first screen of its report, and write the report as a page (report.html).

    Recorded cells are not run again, failed ones are tried again, interrupted ones go on.
    """
    from segbench.execute.progress import progress_on
    from segbench.execute.run import run as run_cells
    from segbench.plan.warnings import plan_warnings
    from segbench.report import load
    from segbench.report.formats.first_screen import lay_out_first_screen
    from segbench.store.folder import ResultsFolder
    from segbench.tracking.mirror import mirroring

    plan = open_selected(benchmark, sets, only, seeds, folds)
    folder = ResultsFolder(results, plan.benchmark.name)
    folder.check_writable()
    for warning in (*plan.data_warnings, *plan_warnings(plan.benchmark, plan.cells, device=device, jobs=jobs)):
        say(f"warning: {warning}", err=True)
    with progress_on(sys.stderr) as listener, mirroring(track, folder, plan.cells, listener.notice):
        summary = run_cells(
            plan.cells,
            folder,
            datasets=plan.datasets,
            device=device,
            jobs=jobs,
            timeout=timeout,
            memory_limit=None if memory_limit is None else int(memory_limit * BYTES_PER_GB),
            checkpoint_seconds=checkpoint_every,
            listener=listener,
        )
    print_problems(summary, folder, debug)
    if summary.interrupted:
        say("stopped; the same command resumes where it was", err=True)
        raise typer.Exit(INTERRUPTED)
    report = load([folder.path], benchmark=plan.benchmark.name)
    print_document(lay_out_first_screen(report))
    write_page(report, folder.path / PAGE)
    if summary.unfinished or summary.untimed:
        raise typer.Exit(SOME_FAILED)


def write_page(report: Report, path: Path) -> None:
    """Write a report as a page and name it; a page that cannot be written is worth a warning, not the run."""
    from segbench.errors import RecordError
    from segbench.report.page.page import to_html
    from segbench.store.atomic import write_atomically

    try:
        write_atomically(path, to_html(report).encode("utf-8", "backslashreplace"))
        say(f"Page: {path}")
    except RecordError as error:
        say(f"warning: {error}", err=True)


def print_problems(summary: Summary, folder: ResultsFolder, debug: bool) -> None:
    """Say on stderr what the report does not: records set aside, methods not timed, and tracebacks if debugging."""
    from segbench.execute.run import describe_problems
    from segbench.plan.cell import cell_label

    for problem in describe_problems(summary, folder):
        say(f"warning: {problem}", err=True)
    failures = [(record, record.error) for record in summary.unfinished if record.error]
    for record, failure in failures:
        if debug and failure.traceback:
            label = cell_label(record.dataset, record.subset, record.method, record.seed)
            say(f"{label}:\n{failure.traceback}", err=True)
    if any(failure.traceback for _, failure in failures) and not debug:
        say("--debug shows the tracebacks of failed cells", err=True)
