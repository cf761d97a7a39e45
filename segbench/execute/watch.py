"""What goes on in a results folder, seen from outside by its files; nothing is changed, so any machine may look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segbench.errors import RecordError
from segbench.store.events import is_number, read_events
from segbench.store.folder import KEY, ResultsFolder, check_results, key_in, read_content, record_files
from segbench.store.leases import see_leases
from segbench.store.run_file import RUN_FILE, is_over, read_run_file

from .progress import estimate_seconds_left, part_done

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segbench.store.leases import LeaseSeen
    from segbench.store.run_file import PlannedCell, RunFile

SILENT_SECONDS = 300.0  # without an event, after which a running cell is said to be silent
MOST_WARNINGS = 3
_FACTS = ("dataset", "subset", "method", "seed", "status", "error", "train")  # what is kept of a record
TO_DO, RUNNING, ABANDONED = "to do", "running", "abandoned"


@dataclass
class Course:
    """The course of one cell's training by its events: what was reported last, and the curves by step."""

    stage: str = ""
    latest: dict[str, Any] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    mious: dict[int, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    time: float | None = None  # of the last event
    first: tuple[float, float] | None = None  # the first step of this attempt: when, and the part done by then

    def take(self, event: Mapping[str, Any], budget: float | None) -> None:
        """Take an event up; where an attempt begins anew, what it repeats is forgotten."""
        name, step, self.time = event.get("event"), event.get("step"), event.get("time")
        if name == "stage":
            self.stage = str(event.get("name"))
        elif name == "warning":
            self.warnings = [*self.warnings, str(event.get("message"))][-MOST_WARNINGS:]
        elif is_number(step) and isinstance(step, int):
            if name == "resumed" or step < (self.latest.get("step") or 0):
                self._go_back_to(step)
            self.latest |= {key: event[key] for key in ("step", "steps", "seconds") if is_number(event.get(key))}
            _note(self.losses, step, event.get("loss"))
            _note(self.mious, step, event.get("miou"))
            if name == "step" and self.first is None and self.time is not None:
                self.first = (self.time, part_done(self.latest, budget))

    def _go_back_to(self, step: int) -> None:
        self.first, self.latest = None, {}
        self.losses = {at: loss for at, loss in self.losses.items() if at < step}
        self.mious = {at: miou for at, miou in self.mious.items() if at < step}


@dataclass(frozen=True)
class WatchedCell:
    """A cell: its status (that of its record, or running, abandoned, to do), and the course of one that runs.

    `trouble` says why it may not go on.
    """

    label: str
    status: str
    cause: str = ""
    course: Course | None = None
    seconds_left: float | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All cells of a benchmark by key at one time; `seconds_left` is of training, None if not known.

    `plan_known` tells whether a run said which cells there are; `is_over` whether nothing runs any more. Workers of
    `elsewhere` may wait in a queue, so while they have cells to do it is not over.
    """

    benchmark: str
    cells: Mapping[str, WatchedCell]
    plan_known: bool
    is_over: bool
    seconds_left: float | None
    elsewhere: str | None = None

    def with_status(self, *statuses: str) -> list[WatchedCell]:
        """Return the cells of some statuses."""
        return [cell for cell in self.cells.values() if cell.status in statuses]


class Watcher:
    """Looks at the folder of a benchmark again and again, and reads only what has changed since."""

    def __init__(self, folder: ResultsFolder) -> None:
        self.folder = folder
        self._records: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._events: dict[Path, tuple[int, Course]] = {}

    def look(self, now: float) -> Snapshot:
        """Return what there is at a time, in seconds since 1970."""
        run = read_run_file(self.folder)
        planned = {cell.key: cell for cell in run.cells} if run else {}
        records, leases = self._read_records(), {lease.key: lease for lease in see_leases(self.folder, now)}
        cells = {
            key: self._cell(key, planned.get(key), records.get(key), leases.get(key), now)
            for key in dict.fromkeys([*planned, *records, *leases])
        }
        running = [cell for cell in cells.values() if cell.status == RUNNING]
        left = _whole_left(cells, running, records)
        over = not running and (run is None or self._is_over(run, cells, now))
        return Snapshot(self.folder.benchmark, cells, run is not None, over, left, run.elsewhere if run else None)

    def _is_over(self, run: RunFile, cells: Mapping[str, WatchedCell], now: float) -> bool:
        if run.elsewhere is None:
            return is_over(self.folder, run, now)
        return all(cells[planned.key].status in ("ok", "failed", "skipped") for planned in run.cells)

    def _read_records(self) -> dict[str, dict[str, Any]]:
        there = record_files(self.folder.path)
        for gone in self._records.keys() - set(there):  # such as that of a cell which has been finished since
            del self._records[gone]
        for path in there:
            if not KEY.fullmatch(key_in(path)):
                continue
            try:
                found = path.stat()
                version = found.st_mtime_ns, found.st_size
                if self._records.get(path, (None,))[0] != version:
                    content = read_content(path)
                    self._records[path] = version, {name: content.get(name) for name in _FACTS}
            except (OSError, RecordError):  # being replaced, or none; a run sets it aside
                self._records.pop(path, None)
        return {key_in(path): content for path, (_, content) in self._records.items()}

    def _cell(
        self,
        key: str,
        planned: PlannedCell | None,
        record: Mapping[str, Any] | None,
        lease: LeaseSeen | None,
        now: float,
    ) -> WatchedCell:
        status = str(record.get("status")) if record else TO_DO
        label = _label(record or (planned.model_dump() if planned else {}), key)
        if status == "ok" or lease is None:
            return WatchedCell(label, status, str(_part(record, "error").get("cause", "")))
        course = self._follow(lease, planned.budget_seconds if planned else None)
        if lease.is_abandoned:
            return WatchedCell(label, ABANDONED, course=course, trouble=_describe_abandoned(lease))
        part = part_done(course.latest, planned.budget_seconds if planned else None)
        left = estimate_seconds_left(course.first, now, part)
        return WatchedCell(label, RUNNING, course=course, seconds_left=left, trouble=_describe_silence(course, now))

    def _follow(self, lease: LeaseSeen, budget: float | None) -> Course:
        """Return the course of an attempt, with the events that were written since it was asked for last."""
        folder = self.folder.cell_folder(lease.key) / (lease.attempt or "")
        start, course = self._events.get(folder, (0, Course()))
        events, end = read_events(folder, start)
        if end < start:  # the file was begun anew
            course = Course()
        for event in events:
            course.take(event, budget)
        self._events[folder] = end, course
        return course


def find_folders(path: Path) -> list[ResultsFolder]:
    """Return the folders of benchmarks in which a run is or was: the one given, or those in it.

    Raises RecordError if there are none.
    """
    check_results(path)
    folders = [path, *sorted(path.iterdir())]
    found = [ResultsFolder(one.parent, one.name) for one in folders if one.is_dir() and _is_results(one)]
    if not found:
        raise RecordError(f"{path}: no run has been here; give the folder that `segbench run --results` has")
    return found[:1] if found[0].path == path else found


def _is_results(path: Path) -> bool:
    folder = ResultsFolder(path.parent, path.name)
    has_records = any(KEY.fullmatch(key_in(file)) for file in record_files(path))
    return has_records or folder.lease_folder.is_dir() or (path / RUN_FILE).is_file()


def _whole_left(
    cells: Mapping[str, WatchedCell], running: list[WatchedCell], records: Mapping[str, Mapping[str, Any]]
) -> float | None:
    """Return the seconds of training left, if each cell takes as long as the recorded ones do on the mean."""
    trained = [_part(record, "train").get("seconds") for record in records.values()]
    seconds = [one for one in trained if is_number(one)]
    to_do = sum(cell.status in (TO_DO, ABANDONED, "interrupted") for cell in cells.values())
    known = [cell.seconds_left for cell in running if cell.seconds_left is not None]
    if not running or len(known) < len(running) or (to_do and not seconds):
        return None
    mean = sum(seconds) / len(seconds) if seconds else 0.0
    return (sum(known) + to_do * mean) / len(running)


def _label(facts: Mapping[str, Any], key: str) -> str:
    if not facts:
        return key
    subset = [] if facts.get("subset") in (None, "all") else [facts["subset"]]
    return " / ".join(map(str, [facts.get("dataset"), *subset, facts.get("method"), f"seed {facts.get('seed')}"]))


def _describe_abandoned(lease: LeaseSeen) -> str:
    who = f"process {lease.owner.pid} on {lease.owner.host}" if lease.owner else "its process"
    return f"{who} is gone; the next run takes the cell over"


def _describe_silence(course: Course, now: float) -> str:
    silent = now - course.time if course.time is not None else 0.0
    return f"no event for {silent / 60:.0f} min" if silent > SILENT_SECONDS else ""


def _note(curve: dict[int, float], step: int, value: Any) -> None:
    if is_number(value):
        curve[step] = float(value)


def _part(record: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """Return a part of a record, which nobody has checked here."""
    found = (record or {}).get(name)
    return found if isinstance(found, dict) else {}
