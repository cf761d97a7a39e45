"""`segbench run`: train, evaluate and time every method of a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

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
from .output import INTERRUPTED, SOME_FAILED, print_document, say, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.execute.jobs import RunOptions
    from segbench.execute.run import Summary
    from segbench.launch.order import Option
    from segbench.plan.plan import Plan
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
    on: Annotated[
        Literal["local", "command", "slurm", "ray"],
        typer.Option("--on", help="Run here, by a command, in SLURM, or on Ray."),
    ] = "local",
    devices: Annotated[
        str | None,
        typer.Option(metavar="cuda:0,cuda:1", help="--on local: a worker on each of these, for --jobs cells at once."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="--on ray: of a running cluster, or auto. [default: one is started here]"),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="TEMPLATE", help="--on command: starts a worker, as 'ssh node{number} {worker}' does."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="--on command, slurm: how many workers. [default: 1]")
    ] = None,
    partition: Annotated[str | None, typer.Option(metavar="NAME", help="--on slurm: of nodes.")] = None,
    time: Annotated[str | None, typer.Option(metavar="LIMIT", help="--on slurm: of a worker, as 4:00:00.")] = None,
    gres: Annotated[str | None, typer.Option(metavar="GRES", help="--on slurm: of a worker, as gpu:1.")] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="--on slurm: of a worker; ray: of a cell. [default: its threads]")
    ] = None,
    mem: Annotated[str | None, typer.Option(metavar="SIZE", help="--on slurm: of a worker, as 32G.")] = None,
    sbatch_line: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION", help="--on slurm: another option of sbatch, as --account=vision; repeatable."),
    ] = None,
    resubmit: Annotated[
        int | None,
        typer.Option(min=0, help="--on slurm: how often a worker goes on in a new job. [default: 10]"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="--on slurm: stay to the end, and report.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the tracebacks of failed cells.")] = False,
) -> None:
    """Run a benchmark, print the first screen of its report, and write the report as a page (report.html).

    Recorded cells are not run again, failed ones are tried again, interrupted ones go on.
    """
    from dataclasses import asdict
    from functools import partial

    from segbench.execute.jobs import RunOptions
    from segbench.execute.run import run as run_here
    from segbench.launch.order import Order
    from segbench.launch.ray import run_on_ray
    from segbench.launch.settings import check_options, read_slurm
    from segbench.plan.machine import usable_cores

    from .elsewhere import run_by_command, run_in_slurm, run_on_devices

    asked: dict[str, Any] = {"workers": workers, "partition": partition, "time": time, "gres": gres, "cpus": cpus}
    asked |= {"mem": mem, "sbatch-line": sbatch_line or None, "resubmit": resubmit}
    check_options(
        on, {**asked, "track": track, "devices": devices, "address": address, "command": command, "wait": wait or None}
    )
    if devices and (track or device != "auto"):
        raise typer.BadParameter(f"--devices {devices} goes neither with --device nor with --track")
    each = _read_devices(devices)
    options = RunOptions(device, jobs, timeout, memory_limit, checkpoint_every)
    slurm = read_slurm(asked) if on == "slurm" else None
    threads = max(1, slurm.cpus // options.least_jobs) if slurm and slurm.cpus else cpus or usable_cores()
    plan = open_selected(benchmark, sets, only, seeds, folds, threads)
    plan.check_data()
    folder = _open_folder(plan, results, options)
    if on in ("local", "ray") and not each:
        on_ray, here = partial(run_on_ray, address=address, cpus=cpus), partial(run_here, datasets=plan.datasets)
        _follow(plan, folder, options, on_ray if on == "ray" else here, track, debug)
        return
    options = options.on_each_of(len(each)) if each else options
    selected: dict[str, Option] = {"set": tuple(sets or ()), "only": tuple(only or ()), "seeds": seeds, "folds": folds}
    told = {**selected, "results": str(results), **asdict(options), "threads": threads}
    order = Order(benchmark, told, plan.cells, folder)
    if slurm is not None:
        run_in_slurm(order, slurm.for_cells(plan.cells, options.least_jobs), wait)
    elif each:
        run_on_devices(order, each)
    else:
        run_by_command(order, str(command), workers or 1)


def _read_devices(text: str | None) -> list[str]:
    each = [name.strip() for name in text.split(",")] if text else []
    if len(set(each)) < len(each):
        raise typer.BadParameter(f"--devices {text}: name each once; --jobs-per-device N lets cells share one")
    return each


def _open_folder(plan: Plan, results: Path, options: RunOptions) -> ResultsFolder:
    """Return the results folder of a run, which can be written to, and say what its plan warns of."""
    from segbench.plan.warnings import plan_warnings
    from segbench.store.folder import ResultsFolder

    folder = ResultsFolder(results, plan.benchmark.name)
    folder.check_writable()
    found = plan_warnings(plan.benchmark, plan.cells, device=options.device, jobs=options.least_jobs)
    warn(*plan.data_warnings, *found)
    return folder


def _follow(
    plan: Plan,
    folder: ResultsFolder,
    options: RunOptions,
    run_cells: Callable[..., Summary],
    track: str | None,
    debug: bool,
) -> None:
    """Show how `run_cells` runs cells from this process, and report."""
    from segbench.execute.progress import progress_on
    from segbench.tracking.mirror import mirroring

    with progress_on(sys.stderr) as listener, mirroring(track, folder, plan.cells, listener.notice):
        summary = run_cells(plan.cells, folder, options, listener=listener)
    print_problems(summary, folder, debug)
    if summary.interrupted:
        done = sum(record.status == "ok" for record in summary.records)
        say(f"{done} of {len(plan.cells)} cells are recorded", err=True)
        say("stopped; the same command resumes where it was", err=True)
        raise typer.Exit(INTERRUPTED)
    print_report(folder)
    if summary.unfinished or summary.untimed:
        raise typer.Exit(SOME_FAILED)


def print_report(folder: ResultsFolder) -> None:
    """Print the first screen of the report of a benchmark, and write the page."""
    from segbench.report import load
    from segbench.report.formats.first_screen import lay_out_first_screen

    report = load([folder.path], benchmark=folder.benchmark)
    print_document(lay_out_first_screen(report))
    write_page(report, folder.path / PAGE)


def write_page(report: Report, path: Path) -> None:
    """Write a report as a page and name it; a page that cannot be written is worth a warning, not the run."""
    from segbench.errors import RecordError
    from segbench.report.page.page import to_html
    from segbench.store.atomic import write_atomically

    try:
        write_atomically(path, to_html(report).encode("utf-8", "backslashreplace"))
        say(f"Page: {path}")
    except RecordError as error:
        warn(error)


def print_problems(summary: Summary, folder: ResultsFolder, debug: bool) -> None:
    """Say on stderr what the report does not: records set aside, methods not timed, and tracebacks if debugging."""
    from segbench.execute.run import describe_problems
    from segbench.plan.cell import cell_label

    warn(*describe_problems(summary, folder))
    failures = [(record, record.error) for record in summary.unfinished if record.error]
    for record, failure in failures:
        if debug and failure.traceback:
            label = cell_label(record.dataset, record.subset, record.method, record.seed)
            say(f"{label}:\n{failure.traceback}", err=True)
    if any(failure.traceback for _, failure in failures) and not debug:
        say("--debug shows the tracebacks of failed cells", err=True)
