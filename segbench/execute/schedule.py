"""The schedule of a run's cells: upstream first, several at a time, shared with other runs on the results folder."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from segbench.errors import RecordError
from segbench.store.attempt import attempt_folder, begin_attempt, sweep, tidy
from segbench.store.folder import files_of, record_files
from segbench.store.leases import Leases
from segbench.store.plugin_copies import keep_copies
from segbench.store.publication import publish
from segbench.store.record import Failure
from segbench.store.sharing import note_jobs, read_jobs, shares_gpu
from segbench.store.verification import write_verification

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
from .judge import Asked, compared_score, judge, read_score
from .pool import Pool, SecondChance
from .search import Search
from .stragglers import Stragglers
from .timing_session import ran_out_of_memory
from .workers import Finished, Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.leases import Lease
    from segbench.store.record import FromUpstream, Record, Status

    from .jobs import Run
    from .workers import Event

RENEW_SECONDS = 5.0  # between two renewals of the leases of this run


def run_cells(
    run: Run, cells: Sequence[Cell], recorded: Mapping[str, Record], refused: Mapping[tuple[str, str], Failure]
) -> dict[str, Record]:
    """Run cells until each has its record or the run is interrupted; return the records by key.

    `cells` are those to run, in the order in which they are asked for, `recorded` the records of the others. Cells of a
    (dataset, method) in `refused` fail at once. A pull worker does not read all that others have recorded.
    """
    schedule = Schedule(run, cells, recorded, refused)
    most = run.capacity.most_cells if run.capacity else run.at_once
    with schedule.shared, Pool(most, run.interrupt, schedule.report) as pool:
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
        self._left = set(self._cells)
        self._from_upstream: dict[str, FromUpstream | None] = {}
        self._began: dict[str, float] = {}
        self._notices_given: set[str] = set()
        self._second_chance = SecondChance(run.interrupt, run.listener)
        self._stragglers = Stragglers(run.folder, self._cells)
        self.shared = SharedCells(run.folder, self._cells)
        self._search = Search(dict.fromkeys(self._cells), self.shared)
        self._capacity = run.capacity
        if self._capacity is not None:
            self._capacity.learn(recorded.values())

    @property
    def is_done(self) -> bool:
        """Whether every cell has its record."""
        return not self._left

    def report(self, key: str, event: Event) -> None:
        """Pass on what a cell's worker emitted."""
        self._run.listener.reported("cell", self._cells[key], event)

    def fill(self, pool: Pool) -> None:
        """Start the cells that can start, and record those that need no worker or that another run has recorded."""
        if not self._has_room(pool):
            return
        for key, record, is_leased in self._search.look(partial(self._can_start, pool)):
            if record is not None:
                self.shared.release(key)
                if is_leased:
                    tidy(self._run.folder, key)  # the mark of an attempt that did not begin
                self._keep(key, record)
            elif is_leased:
                self._start(key, pool)
            else:
                self._notify_once("another run works on some of these cells; their records will count here")
            if not self._has_room(pool):
                return
        if self._run.is_pulled:
            self._pass_over(self._search.list_finished())
        if self._search.has_asked_all:
            self._overtake(pool)

    def finish(self, key: str, outcome: Outcome) -> None:
        """Record a cell whose worker ended."""
        again = self._second_chance.give_for_server(self._cells[key].label, outcome)
        if again or self._lacked_room(key, outcome):
            self._search.waiting[key] = None
            self.shared.release(key)
        elif self._has_lost_output(key, outcome):
            cause = f"its folder {attempt_folder(self._run.folder, self.shared.leases[key])} was removed while it ran"
            self._record_unfinished(key, "failed", Failure(cause=cause))
        elif isinstance(outcome, Finished):
            result, from_upstream = outcome.result, self._from_upstream[key]
            self._record(key, finished_record(self._cells[key], result, self._settings_of(key), from_upstream))
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

    def _overtake(self, pool: Pool) -> None:
        """Begin a second attempt at a cell, where others work on all that is left and one of them is slow."""
        key = self._stragglers.find_slowest(filter(partial(self._can_start, pool), self._search.waiting), self.records)
        if key is not None and self.shared.join(key):
            del self._search.waiting[key]
            label = self._cells[key].label
            self._run.listener.notice(f"{label} is slow elsewhere and begun here too; the first to finish is recorded")
            self._start(key, pool)

    def _give_up(self, key: str) -> None:
        """Wait for a cell whose lease is lost as for one that another run has had from the beginning."""
        what = f"{self._cells[key].label} {self._describe_loss(self.shared.leases[key])}"
        self.shared.release(key)
        tidy(self._run.folder, key)  # the worker may have written after the other run had done so
        self._search.waiting[key] = None
        self._run.listener.notice(what)

    def _describe_loss(self, lease: Lease) -> str:
        is_recorded = self.shared.new_record(lease.key) is not None
        if lease.is_second:
            return (
                "was recorded by the other run first" if is_recorded else "came to no end here; the other run goes on"
            )
        if is_recorded or lease.is_taken_over:
            return "was taken over by another run"
        return f"begins anew, as its lease {lease.path} or {lease.marker} was removed"

    def _has_lost_output(self, key: str, outcome: Outcome) -> bool:
        """Return whether what the worker of a finished cell has written is no longer there."""
        finished = isinstance(outcome, Finished) and outcome.result.status == "ok"
        return finished and not attempt_folder(self._run.folder, self.shared.leases[key]).is_dir()

    def _notify_once(self, message: str) -> None:
        if message not in self._notices_given:
            self._notices_given.add(message)
            self._run.listener.notice(message)

    def _has_upstream(self, key: str) -> bool:
        """Return whether the cells of this run that a cell needs have their records."""
        upstream = upstream_of(self._cells[key]).values()
        return self._left.isdisjoint(upstream)

    def _has_room(self, pool: Pool) -> bool:
        """Return whether another cell may start, if it is not too large."""
        return pool.has_room and (self._capacity is None or not self._capacity.is_full(pool))

    def _can_start(self, pool: Pool, key: str) -> bool:
        """Return whether a cell has what it needs: the records of upstream cells, and room beside those that run."""
        return self._has_upstream(key) and (self._capacity is None or self._capacity.fits(self._cells[key], pool))

    def _lacked_room(self, key: str, outcome: Outcome) -> bool:
        """Return whether a cell ran out of memory beside others, for the first time; its method now runs alone."""
        if self._capacity is None or not ran_out_of_memory(outcome) or self._run.interrupt.requested:
            return False
        message = f"{self._cells[key].label} ran out of memory beside others and begins again alone"
        is_first = message not in self._notices_given
        if not is_first or read_jobs(attempt_folder(self._run.folder, self.shared.leases[key])) == 1:
            return False
        self._notify_once(message)
        self._capacity.isolate(self._cells[key])
        return True

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
            self._start_worker(key, cell, upstream, pool)

    def _start_worker(self, key: str, cell: Cell, upstream: Mapping[str, Record | None], pool: Pool) -> None:
        run, lease = self._run, self.shared.leases[key]
        folder = begin_attempt(run.folder, lease)
        keep_copies(cell.component_names, folder)
        if shares_gpu({**run.environment, **run.run_settings}):
            note_jobs(folder, run.jobs)
        self._began[key] = time.monotonic()
        job = cell_job(run, cell, folder, upstream)
        pool.add(key, run.workers.start_cell(run.functions.cell, job, folder, run.limits, lease))
        if self._capacity is not None and len(pool) > 1:
            together = (attempt_folder(run.folder, self.shared.leases[one]) for one in pool)
            for attempt in filter(Path.is_dir, together):  # that of a running cell may have been removed
                note_jobs(attempt, len(pool))

    def _settings_of(self, key: str) -> dict[str, Any]:
        """Return the settings of the run for the record of a cell, whose earlier attempts may have had more company."""
        folder = attempt_folder(self._run.folder, self.shared.leases[key])
        return {**self._run.run_settings, "jobs": max(self._run.jobs, read_jobs(folder))}

    def _record_unfinished(self, key: str, status: Status, failure: Failure) -> None:
        protocol = self._cells[key].method.protocol
        keep_copies(self._cells[key].component_names, attempt_folder(self._run.folder, self.shared.leases[key]))
        chosen = {"threads": protocol.threads, "tf32": protocol.tf32}
        environment = {**self._run.environment, **chosen, **self._run.run_settings}
        self._record(key, unfinished_record(self._cells[key], status, failure, environment))

    def _record(self, key: str, record: Record) -> None:
        folder, lease = self._run.folder, self.shared.leases[key]
        if record.status == "interrupted":
            record = self._run.interrupt.judge(record, folder.read(key), self._began[key])
        recorded = publish(folder, lease, record)
        if recorded is None:
            self._give_up(key)
            return
        if recorded.attempt != lease.attempt and record.status == "ok":
            self._check_again(key, recorded, record)
        elif recorded.attempt != lease.attempt:
            self._run.listener.notice(f"{self._cells[key].label} was recorded by another run")
        if recorded.status == "ok":
            tidy(folder, key)
        self.shared.release(key)
        self._keep(key, recorded)

    def _check_again(self, key: str, record: Record, again: Record) -> None:
        """Mark a record that another run was first to write with how the cell came out here, as verifying it does."""
        folder, name = self._run.folder, compared_score(record)
        others = [read_score(one, name) for one in self.records.values() if _is_other_seed(one, record)]
        asked = Asked(record, files_of(folder.path, record), [[score for score in others if score is not None]])
        try:
            mark = judge(asked, self._cells[key], again, attempt_folder(folder, self.shared.leases[key]))
            write_verification(asked.folder, mark)
        except RecordError as error:
            told = f"cannot be compared with its record: {error}"
        else:
            told = f"came out here too, {mark.outcome}" if mark.is_reproduced else f"came out here too: {mark.outcome}"
        self._run.listener.notice(f"{self._cells[key].label} was recorded by another run, and {told}")

    def _pass_over(self, finished: Iterable[str]) -> None:
        """Count cells that others have finished as done without reading their records."""
        for key in finished:
            self._left.discard(key)
            self._run.listener.ended("cell", self._cells[key], "ok", None)

    def _keep(self, key: str, record: Record) -> None:
        self._left.discard(key)
        self.records[key] = record
        if self._capacity is not None:
            self._capacity.learn([record])
        self._run.listener.ended("cell", self._cells[key], record.status, record.error)


def _describe_missing(cell: Cell, upstream: Mapping[str, Record | None]) -> str | None:
    """Say which cell that a cell needs has no ok record, or one that it cannot use; None if all have."""
    for reason, record in upstream.items():
        if record is None:
            return f"{reason} needs the cell {cell.upstream[reason]}, which has no record"
        if record.status != "ok":
            cause = f": {record.error.cause}" if record.error else ""
            return f"{reason} needs {record.method!r} with seed {record.seed}, which is {record.status}{cause}"
        if reason == "budget" and shares_gpu(record.environment):
            return (
                f"its budget is the time that {record.method!r} with seed {record.seed} took beside others on one GPU; "
                f"move {record.key}.json away and run with --jobs 1"
            )
    return None


def _is_other_seed(one: Record, record: Record) -> bool:
    """Tell whether a record is a finished one of another one's recipe and data with another seed."""
    same = (one.dataset, one.subset, one.method) == (record.dataset, record.subset, record.method)
    return same and one.status == "ok" and one.seed != record.seed


class SharedCells:
    """The cells that other runs may work on too, and this run's leases by key, all released when the context ends.

    Records that other runs write meanwhile count.
    """

    def __init__(self, folder: ResultsFolder, keys: Iterable[str]) -> None:
        self._folder, self._own = folder, Leases(folder)
        self.leases: dict[str, Lease] = {}
        listed = folder.listed_keys()
        self._modified_before = {key: self._modified(key) for key in keys if key in listed}
        self._renewed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for key in list(self.leases):
            self.release(key)
        with suppress(OSError, RecordError):  # the folder may be gone
            sweep(self._folder)

    def lease(self, key: str) -> bool:
        """Take the lease of a cell and return whether it was free."""
        return self._keep(self._own.acquire(key))

    def join(self, key: str) -> bool:
        """Take the lease of a second attempt at a cell, and return whether another machine has the first."""
        return self._keep(self._own.join(key))

    def _keep(self, lease: Lease | None) -> bool:
        if lease is not None:
            self.leases[lease.key] = lease
        return lease is not None

    def new_record(self, key: str) -> Record | None:
        """Return the record that another run has written of a cell since this run began, unless it was interrupted.

        One that failed before is tried again; one that failed meanwhile is not.
        """
        record = self._folder.read(key)
        if record is None or record.status == "interrupted":
            return None
        return record if record.status == "ok" or self._modified(key) != self._modified_before.get(key) else None

    def find_finished(self, keys: Collection[str]) -> list[str]:
        """Return those of the cells that have the record of a finished cell by its name, and had none at the start."""
        finished = {path.stem for path in record_files(self._folder.path)}  # others end with .unfinished
        return [key for key in keys if key in finished and key not in self._modified_before]

    def renew(self) -> list[str]:
        """Keep the leases alive; return the keys of those that are lost.

        Those of second attempts are looked at each time: once the other one is recorded, methods may be timed here.
        """
        if time.monotonic() - self._renewed < RENEW_SECONDS:
            return [key for key, lease in self.leases.items() if lease.is_second and lease.is_lost]
        self._renewed = time.monotonic()
        self._own.renew()
        return [key for key, lease in self.leases.items() if lease.is_lost]

    def release(self, key: str) -> None:
        """Release the lease of a cell if this run has it."""
        if key in self.leases:
            self.leases.pop(key).release()

    def _modified(self, key: str) -> int | None:
        try:
            return self._folder.existing_path(key).stat().st_mtime_ns
        except FileNotFoundError:
            return None
