"""After training: every method is timed once on this machine, alone, and its records are completed."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .device_lock import device_lock
from .jobs import cell_job, key_of
from .outcome import Finished, Outcome
from .pool import Pool
from .records import timed_record
from .workers import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Record

    from .jobs import Run
    from .workers import Event

_WAIT_SECONDS = 0.5
_MEASUREMENTS = 4  # more than the timing function makes: several batch sizes, and building the network


def time_methods(run: Run, records: Mapping[str, Record]) -> dict[str, Failure]:
    """Time each method whose ok records of this machine and device lack it; return why those that failed did, by label.

    All seeds of a recipe get the same rows, also those recorded by an earlier run. Nothing else of this run may be
    running, and no other process times on the device meanwhile.
    """
    if not any(needs_timing(run, record) for record in records.values()):
        return {}
    told = False

    def wait() -> bool:
        nonlocal told
        if not told:
            run.listener.notice(f"waiting for another run to end its timing on {run.device}")
            told = True
        time.sleep(_WAIT_SECONDS)
        return not run.interrupt.requested

    with device_lock(run.device, wait) as had:
        return _time_all(run, list(records)) if had else {}


def needs_timing(run: Run, record: Record) -> bool:
    """Tell whether a record was made here, on this device, and has no inference rows yet."""
    return record.status == "ok" and not record.inference and _is_from_here(run, record)


def _is_from_here(run: Run, record: Record) -> bool:
    return all(record.environment.get(name) == run.environment.get(name) for name in ("machine", "device"))


def _time_all(run: Run, keys: Iterable[str]) -> dict[str, Failure]:
    cells = {key_of(cell): cell for cell in run.plan.cells}
    failures: dict[str, Failure] = {}
    tried: list[Any] = []
    for key in keys:
        record = run.folder.read(key)  # read again: another run may have timed it while this one waited
        if record is None or not needs_timing(run, record) or recipe(record) in tried:
            continue
        if run.interrupt.requested:
            break
        tried.append(recipe(record))
        if (failure := _time_one(run, cells[key], record)) is not None:
            failures[record.method] = failure
    return failures
