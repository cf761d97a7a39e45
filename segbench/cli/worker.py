"""`segbench worker`: one of many workers of a run that was started elsewhere, on a results folder that they share."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.errors import SpecError

from .options import (
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
from .output import INTERRUPTED, TIME_IS_UP, say, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.execute.pull import Pull
    from segbench.execute.time_limit import TimeLimit
    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder


def worker(
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
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of methods whose protocol states none, as planned by the run. [default: all cores]"),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1, help="When this process will be killed: it ends two minutes before."),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the run has planned. [default: the latest run in the results folder]"),
    ] = None,
) -> None:
    """Take cells of a run until each has its record, then time the methods that ran here.

    SIGUSR1 says that the time is up: cells save a checkpoint, others take them over, and the exit code is 75.
    """
    from segbench.execute.jobs import RunOptions
    from segbench.execute.progress import PlainProgress
    from segbench.execute.run import describe_problems
    from segbench.execute.run import run as run_cells
    from segbench.execute.time_limit import TimeLimit
    from segbench.store.folder import ResultsFolder

    limit = TimeLimit(time_limit)
    with limit.listening():
        say(f"worker on {socket.gethostname()}, process {os.getpid()}", err=True)
        found = open_selected(benchmark, sets, only, seeds, folds, threads)
        found.check_data()
        folder = ResultsFolder(results, found.benchmark.name)
        pull = _join(plan, found.cells, folder, limit)
        options = RunOptions(device, jobs, timeout, memory_limit, checkpoint_every)
        listener = PlainProgress(sys.stderr)
        summary = run_cells(found.cells, folder, options, datasets=found.datasets, listener=listener, pull=pull)
    warn(*describe_problems(summary, folder))
    if summary.interrupted:
        say("the time is up while cells are left" if limit.is_up else "stopped while cells are left", err=True)
        raise typer.Exit(TIME_IS_UP if limit.is_up else INTERRUPTED)
    failed = f", {len(summary.unfinished)} of them not ok" * bool(summary.unfinished)
    say(f"nothing is left to take: {len(found.cells)} cells are recorded{failed}", err=True)


def _join(path: Path | None, cells: Sequence[Cell], folder: ResultsFolder, limit: TimeLimit) -> Pull:
    """Join the run that a file or the results folder tells of; SpecError if that has planned other cells."""
    from segbench.execute.pull import Pull
    from segbench.plan.agreement import check_agreement
    from segbench.store.run_file import read_run, read_run_file

    run = read_run_file(folder) if path is None else read_run(path)
    if run is not None:
        check_agreement(cells, run)
    if path is None:
        return Pull(limit, time.time_ns() if run is None else int(run.began * 10**9))
    if run is None:
        raise SpecError(f"--plan {path}: what a run has planned cannot be read there; is the results folder shared?")
    return Pull(limit, path.stat().st_mtime_ns)
