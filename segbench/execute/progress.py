"""The progress of a run: what it reports of its cells, and the displays that show it.

A terminal shows a bar for each running cell, below a line for each ended one; a log or pipe gets plain lines.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from segbench.shown import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Status

    from .workers import Event

Activity = Literal["preflight", "cell", "timing"]

_STEP_SECONDS = 10.0  # between two lines on the steps of a cell
_ENOUGH = 0.01  # of the work must be done before the time that is left can be estimated
_VERBS = {"preflight": "trying", "timing": "timing"}


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Listener]:
    """Show progress on a stream: bars if it is a terminal, plain lines if not."""
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    with LiveProgress(Console(file=stream)) as display:
        yield display


class Listener(Protocol):
    """What a run calls with its progress, in its own thread; a call must be quick and must not raise."""

    def planned(self, cells: Sequence[Cell], recorded: int) -> None:
        """Called first, with the cells that are to run and the number of those already recorded."""

    def started(self, activity: Activity, cell: Cell) -> None:
        """Called when a worker starts; for "preflight" and "timing" the cell stands for its method."""

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Called with what a worker emits (see `segbench.engine.job.Channel`)."""

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Called at the end; a cell may end that never started here: skipped, or run by another process."""

    def notice(self, message: str) -> None:
        """Called with a message for the user."""


class NoProgress(Listener):
    """A listener that shows nothing."""


@dataclass
class CellProgress:
    """How far one cell is: its state in a word, and the values that it last reported."""

    cell: Cell
    state: str = "waiting"
    started: float | None = None
    ended: float | None = None
    latest: dict[str, Any] = field(default_factory=dict)
    first: tuple[float, float] | None = None  # when the first step was reported, and the part done by then

    @property
    def part(self) -> float:
        """The part of the training budget that is spent, from 0 to 1."""
        if self.ended is not None:
            return 1.0
        return part_done(self.latest, self.cell.method.protocol.budget.seconds)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds of training that are left at the pace since the first report; None if not known yet."""
        return None if self.ended is not None else estimate_seconds_left(self.first, now, self.part)

    def describe(self, now: float) -> str:
        """Return step, speed, loss and the time that is left, as far as they are known."""
        latest, left = self.latest, self.seconds_left(now)
        parts = [f"step {latest.get('step')}" + (f" of {latest['steps']}" if latest.get("steps") else "")]
        if latest.get("images_per_second"):
            parts.append(f"{latest['images_per_second']:.1f} images/s")
        if latest.get("loss") is not None:
            parts.append(f"loss {latest['loss']:.4g}")
        if left is not None:
            parts.append(f"{format_duration(left)} left")
        return ", ".join(parts)


class Tracker:
    """A listener that keeps the progress of all cells by key and writes a line where one ends; `now` gives seconds."""

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self.cells: dict[str | None, CellProgress] = {}
        self.doing = ""
        self.now = now
        self._write = write
        self._began: float | None = None

    def planned(self, cells: Sequence[Cell], recorded: int) -> None:
        """Remember the cells, and write how many there are to run."""
        self.cells = {cell.key: CellProgress(cell) for cell in cells}
        self._write(f"{_count_cells(len(cells))} to run, {recorded} already recorded")

    def started(self, activity: Activity, cell: Cell) -> None:
        """Note when a cell began, or what else is being done."""
        if activity == "cell":
            progress = self.cells[cell.key]
            # As it is to be trained: a budget in seconds may be known only now.
            progress.cell, progress.state, progress.started = cell, "starting", self.now()
            self._began = self._began or progress.started
            self.doing = ""
        else:
            self.doing = f"{_VERBS[activity]} {cell.method.name} on {cell.dataset_name}"

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Note what a worker reports."""
        if event.name == "warning":
            self.notice(f"{cell.label}: {event.fields.get('message', '')}")
        if activity == "timing" and event.name == "stage":
            left = f", about {format_duration(event.fields['seconds_left'])} left"
            self.doing = f"timing {cell.method.name} on {cell.dataset_name}: {event.fields.get('name')}{left}"
        if activity != "cell":
            return
        progress = self.cells[cell.key]
        if event.name == "resumed":
            self.notice(f"{cell.label}: resumed at step {event.fields.get('step')}")
        elif event.name == "stage":
            progress.state = str(event.fields.get("name", progress.state))
        elif event.name in ("step", "validation"):
            progress.latest |= event.fields
            if event.name == "step" and progress.first is None:
                progress.first = (self.now(), progress.part)

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Write how a cell or method ended."""
        self.doing = ""
        blamed = f" (plugin {failure.plugin!r})" if failure and failure.plugin else ""
        why = f": {failure.cause}{blamed}" if failure else ""
        if activity == "cell":
            progress = self.cells[cell.key]
            progress.state, progress.ended = status, self.now()
            took = f" in {format_duration(progress.ended - progress.started)}" if progress.started is not None else ""
            self._write(f"{cell.label}: {status}{took}{why} ({self.done} of {len(self.cells)} done)")
        elif failure is not None:
            self._write(f"{activity} of {cell.method.name} on {cell.dataset_name} failed{why}")

    def notice(self, message: str) -> None:
        """Write the message."""
        self._write(message)

    @property
    def done(self) -> int:
        """How many of the cells have ended."""
        return sum(progress.ended is not None for progress in self.cells.values())

    @property
    def part(self) -> float:
        """The part of all cells' training that is done, from 0 to 1."""
        parts = [progress.part for progress in self.cells.values()]
        return sum(parts) / len(parts) if parts else 1.0

    def seconds_left(self) -> float | None:
        """Return the seconds of training left for all cells; None if not known yet."""
        if self._began is None or not _ENOUGH < self.part < 1:
            return None
        return (self.now() - self._began) * (1 - self.part) / self.part


class PlainProgress(Tracker):
    """A line when a cell starts and when it ends, and at most every ten seconds one for its steps or for timing."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(lambda line: print(clean(line), file=stream, flush=True), now)
        self._last: dict[str | None, float] = {}

    def started(self, activity: Activity, cell: Cell) -> None:
        """Write what starts."""
        super().started(activity, cell)
        self._last[cell.key] = self.now()
        self._write(f"{cell.label}: started" if activity == "cell" else self.doing)

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Write how far a cell is, at most every ten seconds."""
        super().reported(activity, cell, event)
        if activity == "timing" and event.name == "stage" and self._is_due(None):  # one line for all methods
            self._write(self.doing)
        if activity == "cell" and event.name == "step" and self._is_due(cell.key):
            self._write(f"{cell.label}: {self.cells[cell.key].describe(self.now())}")

    def _is_due(self, key: str | None) -> bool:
        """Return whether another line is due; if it is, the next is due ten seconds from now."""
        due = self.now() - self._last.get(key, 0.0) >= _STEP_SECONDS
        if due:
            self._last[key] = self.now()
        return due


class LiveProgress(Tracker):
    """A bar for the whole run and one for each running cell, shown while this is entered as a context."""

    def __init__(self, console: Console) -> None:
        super().__init__(lambda line: console.print(clean(line), markup=False, highlight=False))
        one_line = Column(no_wrap=True, overflow="ellipsis")
        self.display = Progress(
            TextColumn("{task.description}", markup=False, table_column=one_line),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False, table_column=one_line),
            console=console,
            refresh_per_second=4,
        )
        self._whole = self.display.add_task("all cells", total=1.0, state="")
        self._bars: dict[str | None, TaskID] = {}

    def __enter__(self) -> Self:
        self.display.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.display.stop()

    def started(self, activity: Activity, cell: Cell) -> None:
        """Add the bar of a cell."""
        super().started(activity, cell)
        if activity == "cell":
            if cell.key in self._bars:  # it begins anew
                self.display.remove_task(self._bars[cell.key])
            self._bars[cell.key] = self.display.add_task(cell.label, total=1.0, state="starting")
        self._show_whole()

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Move the bar of a cell."""
        super().reported(activity, cell, event)
        if activity == "cell" and cell.key in self._bars:
            progress = self.cells[cell.key]
            steps = f", {progress.describe(self.now())}" if progress.latest.get("step") else ""
            self.display.update(self._bars[cell.key], completed=progress.part, state=f"{progress.state}{steps}")
        self._show_whole()

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Remove the bar of a cell."""
        super().ended(activity, cell, status, failure)
        if activity == "cell" and cell.key in self._bars:
            self.display.remove_task(self._bars.pop(cell.key))
        self._show_whole()

    def _show_whole(self) -> None:
        left = self.seconds_left()
        facts = [f"{self.done} of {_count_cells(len(self.cells))} done"]
        facts += [f"about {format_duration(left)} left"] if left is not None else []
        facts += [self.doing] if self.doing else []
        self.display.update(self._whole, completed=self.part, state=", ".join(facts))


def part_done(latest: Mapping[str, Any], budget: float | None) -> float:
    """Return the part of training that is done, from 0 to 1, by what was reported last and a budget in seconds.

    >>> part_done({"step": 3, "steps": 4}, None), part_done({"step": 3, "seconds": 5.0}, 20.0), part_done({}, None)
    (0.75, 0.25, 0.0)
    """
    step, steps, seconds = latest.get("step"), latest.get("steps"), latest.get("seconds")
    if step and steps:
        return min(1.0, float(step / steps))
    return min(1.0, float(seconds / budget)) if budget and seconds else 0.0


def estimate_seconds_left(first: tuple[float, float] | None, now: float, part: float) -> float | None:
    """Return the seconds left at the pace since the first report (when, and the part done by then); None if unknown.

    >>> estimate_seconds_left((100.0, 0.25), 110.0, 0.5), estimate_seconds_left(None, 110.0, 0.5)
    (20.0, None)
    """
    if first is None:
        return None
    since, before = first
    done = part - before
    return (now - since) * (1 - part) / done if done > _ENOUGH else None


def format_duration(seconds: float) -> str:
    """Write a time span for people.

    >>> format_duration(8.4), format_duration(150), format_duration(7500)
    ('8 s', '2 min 30 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _count_cells(number: int) -> str:
    return f"{number} cell{'s' * (number != 1)}"
