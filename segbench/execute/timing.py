"""After training: every method is timed once on this machine, alone, and its records are completed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .device_lock import device_lock
from .jobs import cell_job, key_of
from .outcome import Finished, Outcome
from .pool import Pool
from .records import timed_record
from .workers import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from segbench.engine.job import TimingResult
    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Inference, Record

    from .jobs import Run
    from .workers import Event

_WAIT_SECONDS = 0.5
_MEASUREMENTS = 4  # a timing function measures at two batch sizes; the rest is for building and warming up

# What may differ, in spec and environment, between records of one method whose networks run equally fast.
_INDIFFERENT = frozenset({"seed", "subset", "key", "upstream", "started", "jobs", "checkpoint_seconds"})


def time_methods(run: Run) -> dict[str, Failure]:
    """Time each method whose ok records of this machine and device lack it; return why it failed, by the cell's label.

    All seeds of a recipe get the same rows, also those that an earlier run recorded. Nothing else of this run may be
    running; no other process times on the device meanwhile.
    """
    if not _untimed(run):
        return {}
    with device_lock(run.device, _waiting(run)) as had:
        return _time_all(run) if had else {}


def recipe(record: Record) -> str:
    """Return a text that is equal for records whose networks run equally fast: all but the seed agrees."""
    shared = {name: value for name, value in {**record.environment, **record.spec}.items() if name not in _INDIFFERENT}
    return json.dumps(shared, sort_keys=True)


def _untimed(run: Run) -> dict[str, list[tuple[Cell, Record]]]:
    """Return the cells, with their records, that were run here and not timed, by recipe."""
    found: dict[str, list[tuple[Cell, Record]]] = {}
    for cell in run.plan.cells:
        record = run.folder.read(key_of(cell))
        if record is not None and _can_be_timed(run, record) and not record.inference:
            found.setdefault(recipe(record), []).append((cell, record))
    return found


def _can_be_timed(run: Run, record: Record) -> bool:
    here = all(record.environment.get(name) == run.environment.get(name) for name in ("machine", "device"))
    return here and record.status == "ok"


def _waiting(run: Run) -> Callable[[], bool]:
    """Return what to do while another process times: say so once, and wait until it ends or Ctrl-C."""
    told: list[str] = []

    def wait() -> bool:
        if not told:
            told.append(f"waiting for another run that is timing on {run.device}")
            run.listener.notice(told[0])
        time.sleep(_WAIT_SECONDS)
        return not run.interrupt.requested

    return wait


def _time_all(run: Run) -> dict[str, Failure]:
    # Looked for again under the lock: whoever had it may have timed the same methods.
    untimed = _untimed(run)
    timed = {recipe(record): record for record in run.folder.records() if record.inference}
    failures: dict[str, Failure] = {}
    for name, group in untimed.items():
        if run.interrupt.requested:
            break
        if name in timed:
            _complete(run, group, timed[name].inference, _peak(timed[name]))
        elif (failure := _time_one(run, group)) is not None:
            failures[group[0][0].label] = failure
    return failures


def _time_one(run: Run, group: list[tuple[Cell, Record]]) -> Failure | None:
    """Time the method of the first cell and complete the records of all; return why it failed, if it did."""
    cell = group[0][0]
    run.listener.started("timing", cell)
    outcome = _run_alone(run, cell)
    if outcome is None:
        return None
    if isinstance(outcome, Finished):
        timing: TimingResult = outcome.result
        _complete(run, group, timing.inference, timing.inference_peak_bytes)
    failure = None if isinstance(outcome, Finished) else outcome.failure
    run.listener.ended("timing", cell, "failed" if failure else "ok", failure)
    return failure


def _run_alone(run: Run, cell: Cell) -> Outcome | None:
    """Run the timing function on a cell; None if it was interrupted, for half a measurement is none."""

    def report(key: str, event: Event) -> None:
        run.listener.reported("timing", cell, event)

    with TemporaryDirectory(prefix="segbench-") as folder, Pool(run.workers, 1, run.interrupt, report) as pool:
        pool.start(key_of(cell), run.functions.timing, cell_job(run, cell), Path(folder), _limits(run, cell))
        while not run.interrupt.requested:
            for _, outcome in pool.advance():
                return outcome
    return None


def _limits(run: Run, cell: Cell) -> Limits:
    """Return the run's limits with room for the measurement, which takes the time that the benchmark gives it."""
    if run.limits.seconds is None:
        return run.limits
    measuring = _MEASUREMENTS * cell.method.protocol.timing.max_seconds
    return Limits(run.limits.seconds + measuring, run.limits.memory)


def _complete(
    run: Run, group: Iterable[tuple[Cell, Record]], inference: Sequence[Inference], peak_bytes: int | None
) -> None:
    for _, record in group:
        run.folder.write(timed_record(record, inference, peak_bytes))


def _peak(record: Record) -> int | None:
    return record.cost.inference_peak_bytes if record.cost else None
