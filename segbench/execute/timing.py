"""Timing after training: the methods of a dataset are timed interleaved, and their records are completed."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, get_args

from segbench.engine.job import TimingJob, TimingResult
from segbench.store.folder import files_of
from segbench.store.record import TimingBudget

from .jobs import add_timing, cell_job, read_upstream, resolve_upstream
from .timing_session import device_lock, time_interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Record

    from .jobs import Run
    from .timing_session import Timed

    Group = list[tuple[Cell, Record]]  # the seeds of one recipe


# What may differ between records of one method whose networks run equally fast: in spec and environment, in the spec's
# method, and in its protocol.
_IGNORED = frozenset({"seed", "subset", "key", "upstream", "started", "jobs", "checkpoint_seconds", "method", "uuid"})
_IGNORED_IN_METHOD = frozenset({"twin", "against", "placebo_of", "trial_of", "tuning", "overrides", "protocol"})
_IGNORED_IN_PROTOCOL = frozenset({"timing", "keep"})


def time_methods(run: Run, records: Mapping[str, Record]) -> dict[str, Failure]:
    """Time each method whose ok records of this machine and device lack a timing; return failures by the cell's label.

    `records` are those of the plan by key. The methods of a dataset are timed in one session, interleaved. All seeds of
    a recipe get the same rows, also those that an earlier run recorded. Methods that were timed before keep their rows,
    unless the protocol now asks for a larger budget than theirs: a ratio of methods of two sessions also holds
    what changed on the machine in between, and `Timing.session` distinguishes them. Nothing else of this run may be
    running; the lock of the device keeps other processes from timing on it meanwhile.
    """
    if not _find_untimed(run, records):
        return {}
    with device_lock(run.environment, run.listener, run.interrupt) as locked:
        return _time_all(run) if locked else {}


def lacks_timing(cell: Cell, record: Record) -> bool:
    """Return whether an ok record needs a timing, or one of a larger budget; False where only tuning needs the cell."""
    timing = cell.method.protocol.timing
    if cell.for_tuning or timing is None or record.status != "ok":
        return False
    if record.timing is None or not record.inference:
        return True
    budgets = get_args(TimingBudget)
    return any(budgets.index(row.budget) < budgets.index(timing.budget) for row in record.inference)


def speed_key(record: Record) -> str:
    """Return a text that is equal for records whose networks run equally fast: all but the seed and the like agrees."""
    method = record.spec.get("method", {})
    shared = {
        **_without(_IGNORED, {**record.environment, **record.spec}),
        **_without(_IGNORED_IN_METHOD, method),
        **_without(_IGNORED_IN_PROTOCOL, method.get("protocol", {})),
        "winner": _winning_settings(record),
    }
    return json.dumps(shared, sort_keys=True)


def _winning_settings(record: Record) -> dict[str, Any] | None:
    """Return the settings that tuning chose, which another seed may have chosen otherwise."""
    settled = record.settled
    trials = settled.trials if settled else []
    return next((trial.settings for trial in trials if settled and trial.key == settled.winner), None)


def _without(names: frozenset[str], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _find_untimed(run: Run, records: Mapping[str, Record]) -> dict[str, Group]:
    """Return the cells that ran here and lack a timing, with their records, by `speed_key`."""
    found: dict[str, Group] = {}
    for key, cell in run.cells.items():
        record = records.get(key)
        if record is None or not lacks_timing(cell, record):
            continue
        if all(record.environment.get(name) == run.environment.get(name) for name in ("machine", "device")):
            found.setdefault(speed_key(record), []).append((cell, record))
    return found


def _time_all(run: Run) -> dict[str, Failure]:
    failures: dict[str, Failure] = {}
    # Read again under the lock: the process that had it may have timed the same methods.
    for session in group_into_sessions(find_groups(run)):
        if not run.interrupt.requested:
            failures |= time_session(run, session)
    return failures


def find_groups(run: Run) -> list[Group]:
    """Return the groups that are to be timed here, and complete those whose methods another record has a timing of."""
    records = {record.key: record for record in run.folder.records()}
    timed = [record for record in records.values() if record.inference]
    untimed = _find_untimed(run, records)
    return [group for key, group in untimed.items() if not _copy_timing(run, key, group, timed)]


def _copy_timing(run: Run, key: str, group: Group, timed: Iterable[Record]) -> bool:
    """Copy the timing of another record with this `speed_key` into those of a group; False if none has enough."""
    cell = group[0][0]
    other = next((one for one in timed if speed_key(one) == key and not lacks_timing(cell, one)), None)
    if other is None:
        return False
    _complete(run, group, _timing_in(other))
    return True


def _timing_in(record: Record) -> TimingResult:
    assert record.timing is not None, "a record that lacks no timing has one"
    peak_bytes = record.cost.inference_peak_bytes if record.cost else None
    return TimingResult(inference=tuple(record.inference), inference_peak_bytes=peak_bytes, timing=record.timing)


def group_into_sessions(groups: Iterable[Group]) -> list[dict[str, Group]]:
    """Return the sessions, each with its groups by method name: of one dataset, each name once."""
    by_dataset: dict[str, list[dict[str, Group]]] = defaultdict(list)
    for group in groups:
        cell = group[0][0]
        of_dataset = by_dataset[cell.dataset_name]
        free = next((session for session in of_dataset if cell.method.name not in session), None)
        if free is None:
            of_dataset.append({cell.method.name: group})
        else:
            free[cell.method.name] = group
    return [session for of_dataset in by_dataset.values() for session in of_dataset]


def _timing_job(run: Run, cell: Cell, record: Record) -> TimingJob:
    upstream = read_upstream(run, cell)
    trained, _ = resolve_upstream(cell, run.cells, upstream)
    return TimingJob(**dict(cell_job(run, trained, files_of(run.folder.path, record), upstream)))


def time_session(
    run: Run, session: dict[str, Group], time: Callable[..., Timed] = time_interleaved
) -> dict[str, Failure]:
    """Time the methods of a session and complete their records; return failures by the cell's label."""
    timed = time(
        {name: _timing_job(run, *group[0]) for name, group in session.items()},
        workers=run.workers,
        limits=run.limits,
        interrupt=run.interrupt,
        listener=run.listener,
        function=run.functions.timing,
    )
    for name, result in timed.results.items():
        _complete(run, session[name], result)
    return {session[name][0][0].label: failure for name, failure in timed.failures.items()}


def _complete(run: Run, group: Group, result: TimingResult) -> None:
    """Add a timing to the records as they are now, but those that another run has timed or replaced meanwhile."""
    with run.folder.locked():
        for cell, record in group:
            now = run.folder.read(record.key)
            same = now is not None and (now.attempt, speed_key(now)) == (record.attempt, speed_key(record))
            if now is not None and same and lacks_timing(cell, now):
                run.folder.write(add_timing(now, result))
            else:
                run.listener.notice(f"{cell.label} keeps its record, which has changed while its method was timed")
