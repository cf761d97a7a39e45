"""Cells mirrored in a tracker, from what their records and events hold: those recorded, and those of a run as it goes.

Every cell is found again by its key, so what is mirrored twice is there once.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from segbench.errors import RecordError, SegbenchError, alternatives
from segbench.registry.extras import install_command
from segbench.report.cells import RecordedCell
from segbench.store.events import read_events
from segbench.store.folder import read_record
from segbench.store.leases import see_leases
from segbench.store.process import machine

from .content import name_planned, name_recorded, points_of, read_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Record

    from .content import Content, Point, TrackedCell

TRACKERS = ("tensorboard", "mlflow")
_LOOK_SECONDS = 2.0  # between two looks at the cells that run


class Tracker(Protocol):
    """Where cells are mirrored: `place` is where that is, `viewer` what shows it.

    A cell is begun, gets points, and is finished; each call may raise whatever the library does.
    """

    place: str
    viewer: str

    def digest_of(self, cell: TrackedCell) -> str | None:
        """Return the digest of what is there of a cell; None if nothing is, or not to its end."""

    def begin(self, cell: TrackedCell, time: float) -> None:
        """Begin a cell, or begin it again; `time` is when it began, in seconds since 1970."""

    def add(self, cell: TrackedCell, points: Iterable[Point]) -> None:
        """Add points to a cell that was begun."""

    def finish(self, cell: TrackedCell, content: Content) -> None:
        """Add what is known of a cell at its end beside the points."""


class Mirror:
    """The cells in one tracker; `given` names it as TOOL or TOOL=PLACE.

    Raises SegbenchError for an unknown tool, one that is not installed, and, now and later, whatever the tool raises.
    """

    def __init__(self, given: str) -> None:
        self._given = given
        with self._telling("it cannot be opened"):
            self.tracker = _open(given)
        self._read: dict[tuple[TrackedCell, str], int] = {}

    def replay(self, cell: RecordedCell) -> bool:
        """Mirror a recorded cell, and return whether it was not there as it is."""
        name, content = name_recorded(cell.record), read_content(cell)
        with self._telling(f"{name.label} cannot be mirrored"):
            if self.tracker.digest_of(name) == content.digest:
                return False
            self.tracker.begin(name, content.began)
            self.tracker.add(name, content.points)
            self.tracker.finish(name, content)
        return True

    def follow(self, folder: ResultsFolder, cell: Cell, attempt: str) -> None:
        """Add what an attempt at a running cell has told since the last call."""
        name = name_planned(folder.benchmark, cell)
        events, end = read_events(folder.cell_folder(str(cell.key)) / attempt, self._read.get((name, attempt), 0))
        if points := list(points_of(events)):
            with self._telling(f"{name.label} cannot be mirrored"):
                if (name, attempt) not in self._read:
                    self.tracker.begin(name, points[0].time)
                self.tracker.add(name, points)
            self._read[name, attempt] = end

    @contextmanager
    def _telling(self, failure: str) -> Iterator[None]:
        try:
            yield
        except SegbenchError:
            raise
        except ImportError as error:
            tool = self._given.partition("=")[0]
            missing = error.name or error
            raise SegbenchError(f"{tool} needs {missing}, not installed here: {install_command(tool)}") from error
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".splitlines()[:2])
            raise SegbenchError(f"{self._given}: {failure}: {cause}") from error


def _open(given: str) -> Tracker:
    tool, _, place = given.partition("=")
    if tool == "tensorboard":
        from .tensorboard import TensorBoard

        return TensorBoard(place)
    if tool == "mlflow":
        from .mlflow import MLflow

        return MLflow(place)
    raise SegbenchError(f"unknown tracker {tool!r}.{alternatives(tool, TRACKERS)}").among(TRACKERS)


@contextmanager
def mirroring(
    given: str | None, folder: ResultsFolder, cells: Sequence[Cell], warn: Callable[[str], None]
) -> Iterator[None]:
    """Mirror some cells while this process runs them, in a thread: no training waits for a tracker.

    At the end all that are recorded are mirrored. What fails meanwhile is tried again, at last at the end; if it fails
    then too, that is a warning.
    """
    if given is None:
        yield
        return
    live = _Live(Mirror(given), folder, cells)
    live.start()
    try:
        yield
    finally:
        live.end()
        if live.trouble is not None:
            warn(f"warning: {live.trouble}; `segbench track {folder.path} --to {given}` makes up for it")


class _Live(threading.Thread):
    """Looks at the cells that this process runs, again and again until the run is over."""

    def __init__(self, mirror: Mirror, folder: ResultsFolder, cells: Sequence[Cell]) -> None:
        super().__init__(name="segbench-mirror", daemon=True)
        self._mirror, self._folder = mirror, folder
        self._cells = {str(cell.key): cell for cell in cells}
        self._running: dict[str, str] = {}
        self._over = threading.Event()
        self.trouble: Exception | None = None

    def run(self) -> None:
        """Mirror until the end, and then once more."""
        over = False
        while not over:
            over = self._over.wait(_LOOK_SECONDS)
            try:
                self.look(over)
                self.trouble = None
            except Exception as error:
                self.trouble = error

    def end(self) -> None:
        """Say that the run is over, and wait until all is mirrored."""
        self._over.set()
        self.join()

    def look(self, over: bool = False) -> None:
        """Follow the cells that run, and replay those that have ended since the last look; at the end all."""
        before, self._running = self._running, self._own()
        for key, attempt in self._running.items():
            self._mirror.follow(self._folder, self._cells[key], attempt)
        for key in self._cells if over else before.keys() - self._running:
            if (record := self._record(key)) is not None:
                self._mirror.replay(RecordedCell(record, self._folder))

    def _record(self, key: str) -> Record | None:
        with suppress(OSError, RecordError):  # there is none yet
            return read_record(self._folder.existing_path(key))
        return None

    def _own(self) -> dict[str, str]:
        """Return the attempts of this process by the keys of their cells."""
        here = os.getpid(), machine()
        leases = {lease.key: lease for lease in see_leases(self._folder, time.time()) if lease.key in self._cells}
        return {
            key: lease.attempt
            for key, lease in leases.items()
            if lease.attempt and lease.owner and (lease.owner.pid, lease.owner.machine) == here
        }
