"""A whole run: each method is tried once, the cells without a record are trained, and the methods are timed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.engine.data.cache import decode_splits
from segbench.errors import CellError, DeviceError, PluginError, RecordError, SpecError
from segbench.store.attempt import sweep
from segbench.store.counts import COUNTS
from segbench.store.folder import is_recorded
from segbench.store.leases import refuse_older_runs
from segbench.store.run_file import PlannedCell, announce_run
from segbench.store.sharing import shares_gpu

from .capacity import Capacity
from .forkserver import modules_to_preload
from .jobs import ENGINE, Run, cell_job, key_of, method_of, read_upstream, resolve_upstream, upstream_of
from .pool import Interrupt, Pool, SecondChance
from .schedule import run_cells
from .temporary import temporary_folder
from .timing import lacks_timing, time_methods
from .timing_session import training_lock
from .workers import Failed, Finished, Outcome, TimedOut, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from segbench.contract import Dataset
    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Failure, Record

    from .jobs import Functions, RunOptions
    from .progress import Listener
    from .pull import Pull
    from .workers import Event, Limits, Running

# For trying a method, unless --timeout is given: it is one step, but building may download pretrained weights.
PREFLIGHT_SECONDS = 600.0


@dataclass(frozen=True)
class Summary:
    """How a run ended: the records of its cells in plan order, and which methods could not be timed and why.

    An interrupted run has no record of cells it did not come to, a pull worker not of all that others have finished.
    """

    records: tuple[Record, ...]
    interrupted: bool = False
    untimed: Mapping[str, Failure] = field(default_factory=dict)

    @property
    def unfinished(self) -> tuple[Record, ...]:
        """The records of cells that are not ok."""
        return tuple(record for record in self.records if record.status != "ok")


def describe_problems(summary: Summary, folder: ResultsFolder) -> list[str]:
    """Return what no report of a run tells: records that were set aside, and why methods were not timed."""
    untimed = (f"the method of {label} was not timed: {failure.cause}" for label, failure in summary.untimed.items())
    return [*map(str, folder.problems), *untimed]


def run(
    cells: Sequence[Cell],
    folder: ResultsFolder,
    options: RunOptions,
    *,
    datasets: Mapping[str, Dataset] | None = None,
    listener: Listener,
    workers: Workers | None = None,
    functions: Functions = ENGINE,
    pull: Pull | None = None,
    at_once: int | None = None,
    time: Callable[[Run, Mapping[str, Record]], dict[str, Failure]] = time_methods,
) -> Summary:
    """Run the cells of a plan that have no ok record in a folder yet, and return how it went.

    `datasets`, by their names in the benchmark, are decoded before cells start; cells decode those that are not given.
    A cell that fails leaves a record that says why, and the others go on. Ctrl-C and SIGTERM end it early; the next run
    resumes. With `pull` this is one of many workers of a run elsewhere. With workers on several devices, `options.jobs`
    cells share each and `at_once` run in all; `time` is how methods are timed after training.
    Raises the SegbenchError of a mistake that shows before anything trains, and RecordError for a results folder that
    is full or read-only, or in which a run of an older version works.
    """
    folder.check_writable()
    refuse_older_runs(folder)
    sweep(folder)
    recorded = folder.read_all_finished(map(key_of, cells))
    _set_damaged_aside(cells, recorded, folder)
    if pull is not None:
        recorded |= pull.read_failed(cells, folder)
    todo = [cell for cell in cells if cell.key not in recorded]
    listener.planned(todo, len(recorded))
    if not todo and not any(lacks_timing(cell, recorded[key_of(cell)]) for cell in cells):
        return Summary(tuple(recorded.values()))
    workers = workers or start_workers(cells)
    announced = announce_run(folder, *describe_cells(cells)) if pull is None else nullcontext()
    with announced, Interrupt() if pull is None else pull.limit as interrupt:
        decode_splits(todo, datasets or {}, listener.notice)
        limits, jobs = options.limits, options.least_jobs
        environment = probe_device(workers, functions.probe, options.device, limits, interrupt, listener)
        if environment is None:
            return Summary(tuple(recorded.values()), interrupted=True)
        _refuse_shared_seconds(todo, environment, options)
        by_key = {key_of(cell): cell for cell in cells}
        settings = (functions, listener, interrupt, environment, options.checkpoint_every, at_once or jobs)
        capacity = Capacity(environment, cells, folder, listener) if options.jobs == "auto" else None
        is_pulled = pull is not None
        started = Run(by_key, folder, workers, jobs, limits, *settings, is_pulled=is_pulled, capacity=capacity)
        to_try = todo if pull is None else pull.choose_to_try(cells, todo, folder)
        in_order = todo if pull is None else pull.in_own_order(todo)
        return _try_train_and_time(started, to_try, in_order, recorded, time)


def describe_cells(cells: Sequence[Cell]) -> tuple[list[PlannedCell], dict[str, dict[str, Any]]]:
    """Return what a run says of its cells: each in short, and by key the spec of one of each method on each dataset."""
    examples = {method_of(cell): cell for cell in reversed(cells)}.values()
    specs = {key_of(cell): cell.model_dump(mode="json", exclude={"dataset": {"root"}}) for cell in examples}
    return list(map(_planned, cells)), specs


def _planned(cell: Cell) -> PlannedCell:
    return PlannedCell(
        key=key_of(cell),
        dataset=cell.dataset_name,
        subset=cell.subset,
        method=cell.method.name,
        seed=cell.seed,
        budget_seconds=cell.method.protocol.budget.seconds,
    )


def _set_damaged_aside(cells: Sequence[Cell], recorded: dict[str, Record], folder: ResultsFolder) -> None:
    """Take out of `recorded` the cells that must run again: with damaged counts, or other files if others need them."""
    needed: set[str] = set()
    for cell in reversed(cells):  # upstream cells come before those that need them
        key = key_of(cell)
        if key in recorded and folder.set_aside_if_damaged(recorded[key], "*" if key in needed else COUNTS):
            del recorded[key]
        if key in needed or key not in recorded:
            needed.update(upstream_of(cell).values())


def _refuse_shared_seconds(cells: Sequence[Cell], environment: Mapping[str, Any], options: RunOptions) -> None:
    """Raise SpecError for budgets in seconds where each of several cells gets a part of the same GPU."""
    jobs, many = (2, "several") if options.jobs == "auto" else (options.jobs, str(options.jobs))
    names = list(dict.fromkeys(cell.method.name for cell in cells if cell.method.protocol.budget.is_time))
    if names and shares_gpu({**environment, "jobs": jobs}):
        raise SpecError(
            f"{', '.join(names)}: the budget is in seconds, and {many} cells at once slow each other "
            f"down on {environment['device']}; run these with --jobs 1, or give the budget in steps or epochs"
        )


def _try_train_and_time(
    run: Run,
    to_try: Sequence[Cell],
    todo: Sequence[Cell],
    recorded: Mapping[str, Record],
    time: Callable[[Run, Mapping[str, Record]], dict[str, Failure]],
) -> Summary:
    """Try the methods of `to_try`, run the cells and time the methods; each only while no early end is asked for."""
    processes = max((cell.method.protocol.processes for cell in todo), default=1)
    with training_lock(run.environment, processes, run.listener, run.interrupt):
        refused = preflight(run, to_try)
        records = dict(recorded) if run.interrupt.requested else run_cells(run, todo, recorded, refused)
    untimed = {} if run.interrupt.requested else time(run, records)
    in_order = tuple(records[key] for key in run.cells if key in records)
    if not run.interrupt.requested:
        _check_kept(run.folder, records)
    return Summary(in_order, run.interrupt.requested, untimed)


def _check_kept(folder: ResultsFolder, records: Mapping[str, Record]) -> None:
    """Raise RecordError if records of this run have been removed since they were written."""
    gone = [key for key in records if not is_recorded(folder.existing_path(key))]
    if gone:
        raise RecordError(
            f"{len(gone)} of the {len(records)} records of this run are no longer in {folder.path}, so they were "
            "removed meanwhile; the same command runs their cells again"
        )


def start_workers(cells: Sequence[Cell]) -> Workers:
    """Return workers for cells; the libraries they share are imported in the background from now on."""
    workers = Workers(modules_to_preload({name for cell in cells for name in cell.versions}))
    workers.warm_up()
    return workers


def probe_device(
    workers: Workers, function: str, device: str, limits: Limits, interrupt: Interrupt, listener: Listener
) -> Mapping[str, Any] | None:
    """Return the environment of a worker, with "machine" and the resolved "device"; None if interrupted.

    Raises the SegbenchError for a device that does not exist.
    """

    def report(name: str, event: Event) -> None:
        if event.name == "warning":
            listener.notice(f"checking the device: {event.fields['message']}")

    second_chance = SecondChance(interrupt, listener)
    with temporary_folder() as place, Pool(1, interrupt, report) as pool:
        waiting = ["probe"]
        for key, outcome in pool.run_all(waiting, lambda _: workers.start(function, device, Path(place), limits)):
            if isinstance(outcome, Finished):
                return dict(outcome.result)
            if second_chance.give("checking the device", outcome):
                waiting.append(key)
            elif isinstance(outcome, Failed) and outcome.error:
                raise outcome.error
            else:
                raise CellError(
                    f"no worker process can run: {outcome.failure.cause}\n{outcome.failure.traceback or ''}"
                )
    return None


def preflight(run: Run, cells: Sequence[Cell]) -> dict[tuple[str, str], Failure]:
    """Build each (dataset, method) of the cells once and train one step; return the failures by (dataset, method).

    Raises the SegbenchError that shows a user's mistake. A plugin error or a lack of memory fails its methods only.
    Where a device reports an error late, the method is tried again with each kernel waited for, to name the plugin.
    """
    first = {method_of(cell): cell for cell in reversed(cells)}
    by_key = {key_of(cell): cell for cell in cells if first[method_of(cell)] is cell}
    waiting = list(by_key)
    failures: dict[tuple[str, str], Failure] = {}
    traced: set[str] = set()
    second_chance = SecondChance(run.interrupt, run.listener)

    def report(key: str, event: Event) -> None:
        run.listener.reported("preflight", by_key[key], event)

    with temporary_folder() as folder, Pool(run.at_once, run.interrupt, report) as pool:
        start = partial(_start_trial, run, by_key, Path(folder), traced)
        for key, outcome in pool.run_all(waiting, start):
            if second_chance.give(f"trying {by_key[key].label}", outcome):
                waiting.append(key)
            elif isinstance(outcome, Failed) and isinstance(outcome.error, DeviceError) and key not in traced:
                traced.add(key)
                waiting.append(key)
            elif (failure := _preflight_failure(run, by_key[key], outcome)) is not None:
                failures[method_of(by_key[key])] = failure
    return failures


def _start_trial(run: Run, cells: Mapping[str, Cell], folder: Path, traced: Collection[str], key: str) -> Running:
    cell = cells[key]
    run.listener.started("preflight", cell)
    limits = replace(run.limits, seconds=run.limits.seconds or PREFLIGHT_SECONDS)
    upstream = read_upstream(run, cell)
    trained, _ = resolve_upstream(cell, run.cells, upstream)
    job = cell_job(run, trained, run.folder.cell_folder(key), upstream).model_copy(update={"traced": key in traced})
    # Not in the cell's own folder: another run may be at work there.
    return run.workers.start_cell(run.functions.preflight, job, folder / key, limits)


def _preflight_failure(run: Run, cell: Cell, outcome: Outcome) -> Failure | None:
    """Return why a method cannot run, or None if it can; raise the error of a user's mistake."""
    if isinstance(outcome, Failed) and outcome.error and not isinstance(outcome.error, PluginError | CellError):
        raise type(outcome.error)(f"method {cell.method.name!r} on {cell.dataset_name!r}: {outcome.error}")
    failure = None if isinstance(outcome, Finished) else outcome.failure
    if isinstance(outcome, TimedOut):
        cause = f"{outcome.failure.cause} of being built and stepped once (--timeout SECONDS allows another time)"
        failure = outcome.failure.model_copy(update={"cause": cause})
    run.listener.ended("preflight", cell, "failed" if failure else "ok", failure)
    return failure
