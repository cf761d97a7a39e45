"""The schedule of a run's cells: upstream first, several at a time, shared with other runs on the results folder."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from segbench.engine.job import CHECKPOINT
from segbench.store.leases import acquire
from segbench.store.publication import discard_output, make_output_folder, output_folder, publish
from segbench.store.record import Failure

from .jobs import (
    cell_job,
    finished_record,
    key_of,
    method_of,
    read_upstream,
    resolve_upstream,
    unfinished_record,
    upstream_of,
)
from .pool import Pool, SecondChance
from .workers import Finished, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.leases import Lease
    from segbench.store.record import FromUpstream, Record, Status

    from .jobs import Run
    from .workers import Event

_RENEW_SECONDS = 5.0  # between two renewals of the leases of this run
_ASK_AGAIN_SECONDS = 1.0  # before the lease of a cell that another run has is asked for again


def run_cells(
    run: Run, cells: Sequence[Cell], recorded: Mapping[str, Record], refused: Mapping[tuple[str, str], Failure]
) -> dict[str, Record]:
    """Run cells until each has its record or the run is interrupted; return the records by key.

    `cells` are those to run, upstream first, `recorded` the records of the others. Cells of a (dataset, method) in
    `refused` fail at once.
    """
    schedule = Schedule(run, cells, recorded, refused)
    with schedule.shared, Pool(run.workers, run.jobs, run.interrupt, schedule.report) as pool:
        while not schedule.is_done and (pool.is_busy or not run.interrupt.requested):
            if not run.interrupt.requested:
                schedule.fill(pool)
            for key, outcome in pool.advance():
                schedule.finish(key, outcome)
            schedule.warn_of_folder()
            schedule.give_up_lost(pool)
            schedule.announce_stop(pool)
    return schedule.records


class Schedule:
    """Which cells wait, which run, and the records so far."""

    def __init__(
        self,
        run: Run,
        cells: Sequence[Cell],
        recorded: Mapping[str, Record],
        refused: Mapping[tuple[str, str], Failure],
    ) -> None:
        self.records = dict(recorded)
        self._run, self._refused = run, refused
        self._cells = {key_of(cell): cell for cell in cells}
        self._waiting = list(self._cells)
        self._from_upstream: dict[str, FromUpstream | None] = {}
        self._notices_given: set[str] = set()
        self._second_chance = SecondChance(run.interrupt, run.listener)
        self.shared = SharedCells(run.folder, self._waiting)

    @property
    def is_done(self) -> bool:
        """Whether every cell has its record."""
        return all(key in self.records for key in self._cells)

    def report(self, key: str, event: Event) -> None:
        """Pass on what a cell's worker emitted."""
        self._run.listener.reported("cell", self._cells[key], event)

    def fill(self, pool: Pool) -> None:
        """Start the cells that can start, and record those that need no worker or that another run has recorded."""
        for key in [key for key in self._waiting if self._has_upstream(key)]:
            if not pool.has_room:
                return
            if not self.shared.is_due(key):
                continue
            leased = self.shared.lease(key)
            # Read after the lease is taken: another run may have recorded the cell before releasing it.
            if (record := self.shared.new_record(key)) is not None:
                self._waiting.remove(key)
                self.shared.release(key)
                self._keep(key, record)
            elif leased:
                self._waiting.remove(key)
                self._start(key, pool)
            else:
                self._notify_once("another run works on some of these cells; their records will count here")

    def finish(self, key: str, outcome: Outcome) -> None:
        """Record a cell whose worker ended."""
        if self._second_chance.give_for_server(self._cells[key].label, outcome):
            self._waiting.append(key)
            self.shared.release(key)
        elif self._has_lost_output(key, outcome):
            cause = f"its folder {self._run.folder.cell_folder(key)} was removed while it ran"
            self._record_unfinished(key, "failed", Failure(cause=cause))
        elif isinstance(outcome, Finished):
            result, from_upstream = outcome.result, self._from_upstream[key]
            self._record(key, finished_record(self._cells[key], result, self._run.run_settings, from_upstream))
        elif self._run.interrupt.requested:
            self._record_unfinished(key, "interrupted", Failure(cause="the run was stopped before the cell was done"))
        else:
            self._record_unfinished(key, "failed", outcome.failure)

    def warn_of_folder(self) -> None:
        """Tell the listener, once, if the results folder is gone or cannot be written to."""
        if (loss := self._run.folder.describe_loss()) is not None:
            self._notify_once(loss)

    def give_up_lost(self, pool: Pool) -> None:
        """Stop cells that another run has taken over, as it may after this process was halted for minutes."""
        for key in self.shared.renew():
            pool.drop(key)
            self._give_up(key)

    def announce_stop(self, pool: Pool) -> None:
        """Tell the listener what happens next once an early end is asked for."""
        if self._run.interrupt.requested and pool.is_busy:
            self._notify_once("stopping: running cells save a checkpoint first (Ctrl-C again kills them)")

    def _give_up(self, key: str) -> None:
        """Wait for a cell whose lease is lost as for one that another run has had from the beginning."""
        lease = self.shared.forget(key)
        discard_output(self._run.folder, key, lease)
        recorded = self.shared.new_record(key)
        if recorded is not None and recorded.status == "ok":
            self._remove_checkpoint(key)  # the worker may have saved one after the other run had removed it
        taken_over = lease.path.exists() or recorded is not None
        how = "was taken over by another run" if taken_over else f"begins anew, as its lease {lease.path} was removed"
        self._waiting.append(key)
        self._run.listener.notice(f"{self._cells[key].label} {how}")

    def _has_lost_output(self, key: str, outcome: Outcome) -> bool:
        """Return whether what the worker of a finished cell has written is no longer there."""
        finished = isinstance(outcome, Finished) and outcome.result.status == "ok"
        lease = self.shared.leases[key]
        return finished and not lease.is_lost and not output_folder(self._run.folder, key, lease).is_dir()

    def _notify_once(self, message: str) -> None:
        if message not in self._notices_given:
            self._notices_given.add(message)
            self._run.listener.notice(message)

    def _has_upstream(self, key: str) -> bool:
        """Return whether the cells of this run that a cell needs have their records."""
        upstream = upstream_of(self._cells[key]).values()
        return all(needed in self.records or needed not in self._cells for needed in upstream)

    def _start(self, key: str, pool: Pool) -> None:
        cell, run = self._cells[key], self._run
        upstream = read_upstream(run, cell, self.records)
        if (missing := _describe_missing(cell, upstream)) is not None:
            self._record_unfinished(key, "skipped", Failure(cause=missing))
        elif (failure := self._refused.get(method_of(cell))) is not None:
            self._record_unfinished(key, "failed", failure)
        else:
            cell, self._from_upstream[key] = resolve_upstream(cell, run.cells, upstream)
            run.listener.started("cell", cell)
            self._start_worker(key, cell, pool)

    def _start_worker(self, key: str, cell: Cell, pool: Pool) -> None:
        run, lease, cell_folder = self._run, self.shared.leases[key], self._run.folder.cell_folder(key)
        job = cell_job(run, cell, make_output_folder(run.folder, key, lease))
        pool.start_cell(key, run.functions.cell, job, cell_folder, run.limits, lease)

    def _record_unfinished(self, key: str, status: Status, failure: Failure) -> None:
        protocol = self._cells[key].method.protocol
        chosen = {"threads": protocol.threads, "tf32": protocol.tf32}
        environment = {**self._run.environment, **chosen, **self._run.run_settings}
        self._record(key, unfinished_record(self._cells[key], status, failure, environment))

    def _record(self, key: str, record: Record) -> None:
        folder, components = self._run.folder, self._cells[key].component_names
        if not publish(folder, self.shared.leases[key], record, components):
            self._give_up(key)
            return
        if record.status == "ok":
            self._remove_checkpoint(key)
        self.shared.release(key)
        self._keep(key, record)

    def _remove_checkpoint(self, key: str) -> None:
        with suppress(OSError):
            (self._run.folder.cell_folder(key) / CHECKPOINT).unlink()

    def _keep(self, key: str, record: Record) -> None:
        self.records[key] = record
        self._run.listener.ended("cell", self._cells[key], record.status, record.error)


def _describe_missing(cell: Cell, upstream: Mapping[str, Record | None]) -> str | None:
    """Say which cell that a cell needs has no ok record, or None if all have."""
    for reason, record in upstream.items():
        if record is None:
            return f"{reason} needs the cell {cell.upstream[reason]}, which has no record"
        if record.status != "ok":
            cause = f": {record.error.cause}" if record.error else ""
            return f"{reason} needs {record.method!r} with seed {record.seed}, which is {record.status}{cause}"
    return None


class SharedCells:
    """The cells that other runs may work on too, and this run's leases by key, all released when the context ends.

    Records that other runs write meanwhile count.
    """

    def __init__(self, folder: ResultsFolder, keys: Iterable[str]) -> None:
        self._folder = folder
        self.leases: dict[str, Lease] = {}
        self._modified_before = {key: self._modified(key) for key in keys}
        self._ask_again: dict[str, float] = {}
        self._renewed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for key in list(self.leases):
            self.release(key)

    def is_due(self, key: str) -> bool:
        """Return whether to ask for a cell's lease; not within a second of finding that another run has it."""
        return time.monotonic() >= self._ask_again.get(key, 0.0)

    def lease(self, key: str) -> bool:
        """Take the lease of a cell and return whether it was free."""
        lease = acquire(self._folder, key)
        if lease is None:
            self._ask_again[key] = time.monotonic() + _ASK_AGAIN_SECONDS
            return False
        self.leases[key] = lease
        return True

    def new_record(self, key: str) -> Record | None:
        """Return the record that another run has written of a cell since this run began, unless it was interrupted.

        One that failed before is tried again; one that failed meanwhile is not.
        """
        record = self._folder.read(key)
        if record is None or record.status == "interrupted":
            return None
        return record if record.status == "ok" or self._modified(key) != self._modified_before[key] else None

    def renew(self) -> list[str]:
        """Keep the leases alive; return the keys of those that are lost."""
        if time.monotonic() - self._renewed < _RENEW_SECONDS:
            return []
        self._renewed = time.monotonic()
        return [key for key, lease in self.leases.items() if not lease.renew()]

    def forget(self, key: str) -> Lease:
        """Return a lease that is lost, which is this run's no longer."""
        return self.leases.pop(key)

    def release(self, key: str) -> None:
        """Release the lease of a cell if this run has it."""
        if key in self.leases:
            self.leases.pop(key).release()

    def _modified(self, key: str) -> int | None:
        try:
            return self._folder.record_path(key).stat().st_mtime_ns
        except FileNotFoundError:
            return None
