"""The display that suits where it is shown.

Progress as a table that changes in place, for terminals.

Progress as plain lines, for logs and pipes.

How far a run has come: what its displays show.

What a run tells whoever shows its progress.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import RenderableType

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Status

    from .workers import Event


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Listener]:
    """Show progress on a stream: a live table if it is a terminal, plain lines if not."""
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    from rich.console import Console

    with LiveProgress(Console(file=stream)) as display:
        yield display


_OTHER_LINES = 8  # headings, the bar, notices


_NOTICES = 3


_COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow", "interrupted": "yellow", "waiting": "dim"}


class Tracker:
    """A listener that keeps the progress of all cells by key, in plan order; `now` gives seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.cells: dict[str | None, Progress] = {}
        self.recorded = 0
        self.doing = ""
        self.notices: list[str] = []
        self.now = now
        self._began: float | None = None

    def planned(self, cells: Sequence[Cell], recorded: int) -> None:
        """Take the cells over."""
        self.cells = {cell.key: Progress(cell) for cell in cells}
        self.recorded = recorded

    def started(self, activity: Activity, cell: Cell) -> None:
        """Note when a cell began, or what else is being done."""
        if activity == "cell":
            progress = self.cells[cell.key]
            # As it is to be trained: a budget in seconds may be known only now.
            progress.cell, progress.state, progress.started = cell, "starting", self.now()
            self._began = self._began or progress.started
            self.doing = ""
        else:
            verb = "trying" if activity == "preflight" else "timing"
            self.doing = f"{verb} {cell.method.name} on {cell.dataset_name}"

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Note what a cell says of itself."""
        if event.name == "warning":
            self.notice(f"{cell.label}: {event.fields.get('message', '')}")
        if activity == "timing" and event.name == "stage":
            self.doing = f"timing {cell.method.name} on {cell.dataset_name}: {event.fields.get('name')}"
        if activity != "cell":
            return
        progress = self.cells[cell.key]
        if event.name == "stage":
            progress.state = str(event.fields.get("name", progress.state))
        elif event.name in ("step", "validation"):
            progress.latest |= event.fields
            if event.name == "step" and progress.first is None:
                progress.first = (self.now(), progress.part)

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Note how it ended."""
        self.doing = ""
        if activity == "cell":
            progress = self.cells[cell.key]
            progress.state, progress.failure, progress.ended = status, failure, self.now()

    def notice(self, message: str) -> None:
        """Keep a notice."""
        self.notices.append(message)

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


class LiveProgress(Tracker):
    """A table of cells with an overall bar; entered as a context, it is shown until the end."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, get_renderable=self.picture, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def picture(self) -> RenderableType:
        """Return what is to be seen now."""
        return Group(self._table(), self._overall(), *(Text(line, "yellow") for line in self.notices[-_NOTICES:]))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("cell", overflow="ellipsis", no_wrap=True)
        table.add_column("state", overflow="ellipsis", no_wrap=True)
        for heading in ("step", "images/s", "left", "loss"):
            table.add_column(heading, justify="right", no_wrap=True)
        shown = self._shown()
        for progress in shown:
            table.add_row(*self._row(progress))
        if len(shown) < len(self.cells):
            table.add_row(Text(f"... and {len(self.cells) - len(shown)} more", "dim"))
        return table

    def _shown(self) -> list[Progress]:
        """Return the cells there is room for: those that run, then failed, waiting and finished ones, in plan order."""
        cells = list(self.cells.values())
        urgency = {"failed": 1, "waiting": 2, "interrupted": 3, "skipped": 3, "ok": 3}
        chosen = sorted(cells, key=lambda progress: urgency.get(progress.state, 0))
        kept = {id(progress) for progress in chosen[: max(1, self._console.height - _OTHER_LINES)]}
        return [progress for progress in cells if id(progress) in kept]

    def _row(self, progress: Progress) -> list[RenderableType]:
        latest, left = progress.latest, progress.seconds_left(self.now())
        rate, loss = latest.get("images_per_second"), latest.get("loss")
        return [
            Text(progress.cell.label),
            Text(self._state(progress), _COLOURS.get(progress.state, "cyan")),
            f"{latest['step']}/{latest.get('steps') or '?'}" if latest.get("step") else "",
            "" if rate is None else f"{rate:.1f}",
            "" if left is None else duration(left),
            "" if loss is None else f"{loss:.4g}",
        ]

    def _state(self, progress: Progress) -> str:
        if progress.failure is not None:
            return f"{progress.state}: {reason(progress.failure)}"
        if progress.started is not None and progress.ended is not None:
            return f"{progress.state} in {duration(progress.ended - progress.started)}"
        return progress.state

    def _overall(self) -> RenderableType:
        left = self.seconds_left()
        facts = [f"{self.done} of {len(self.cells)} cells done"]
        facts += [f"{self.recorded} recorded before"] if self.recorded else []
        facts += [f"about {duration(left)} left"] if left is not None else []
        facts += [self.doing] if self.doing else []
        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(total=1.0, completed=self.part, width=30), Text(", ".join(facts)))
        return line


_STEP_SECONDS = 10.0


class PlainProgress(Tracker):
    """A line where a cell starts and ends, and at most every ten seconds one for its steps, or for what is timed."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now)
        self._stream = stream
        self._told: dict[str | None, float] = {}

    def planned(self, cells: Sequence[Cell], recorded: int) -> None:
        """Tell how much there is to do."""
        super().planned(cells, recorded)
        self._line(f"{len(cells)} cells to run, {recorded} already recorded")

    def started(self, activity: Activity, cell: Cell) -> None:
        """Tell what starts."""
        super().started(activity, cell)
        self._told[cell.key] = self.now()
        self._line(f"{cell.label}: started" if activity == "cell" else self.doing)

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Tell how far a cell is, now and then."""
        super().reported(activity, cell, event)
        if activity == "timing" and event.name == "stage" and self._is_due(None):  # rivals take turns: one line for all
            self._told[None] = self.now()
            self._line(self.doing)
        if activity == "cell" and event.name == "step" and self._is_due(cell.key):
            self._told[cell.key] = self.now()
            self._line(f"{cell.label}: {self._how_far(self.cells[cell.key])}")

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Tell how it ended."""
        super().ended(activity, cell, status, failure)
        if activity == "cell":
            progress = self.cells[cell.key]
            took = f" in {duration(self.now() - progress.started)}" if progress.started is not None else ""
            self._line(f"{cell.label}: {status}{took}{self._why(failure)} ({self.done} of {len(self.cells)} done)")
        elif failure is not None:
            verb = "preflight" if activity == "preflight" else "timing"
            self._line(f"{verb} of {cell.method.name} on {cell.dataset_name} failed{self._why(failure)}")

    def notice(self, message: str) -> None:
        """Tell it."""
        super().notice(message)
        self._line(message)

    def _is_due(self, key: str | None) -> bool:
        return self.now() - self._told.get(key, 0.0) >= _STEP_SECONDS

    def _how_far(self, progress: Progress) -> str:
        latest, left = progress.latest, progress.seconds_left(self.now())
        parts = [f"step {latest.get('step')}" + (f" of {latest['steps']}" if latest.get("steps") else "")]
        if latest.get("images_per_second"):
            parts.append(f"{latest['images_per_second']:.1f} images/s")
        if latest.get("loss") is not None:
            parts.append(f"loss {latest['loss']:.4g}")
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    @staticmethod
    def _why(failure: Failure | None) -> str:
        return f": {reason(failure)}" if failure else ""

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


_ENOUGH = 0.01  # of the work must be done before the time that is left can be told


@dataclass
class Progress:
    """How far one cell has come: its state in a word, and what it last reported."""

    cell: Cell
    state: str = "waiting"
    failure: Failure | None = None
    started: float | None = None
    ended: float | None = None
    latest: dict[str, Any] = field(default_factory=dict)
    first: tuple[float, float] | None = None  # when the first step was reported, and the part done by then

    @property
    def part(self) -> float:
        """The part of the training budget that is spent, from 0 to 1."""
        if self.ended is not None:
            return 1.0
        step, steps = self.latest.get("step"), self.latest.get("steps")
        if step and steps:
            return min(1.0, float(step / steps))
        budget, seconds = self.cell.method.protocol.budget.seconds, self.latest.get("seconds")
        return min(1.0, float(seconds / budget)) if budget and seconds else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds of training that are left at the pace since the first report; None if not known yet."""
        if self.first is None or self.ended is not None:
            return None
        since, before = self.first
        done = self.part - before
        return (now - since) * (1 - self.part) / done if done > _ENOUGH else None


def duration(seconds: float) -> str:
    """Write a time span for people.

    >>> duration(8.4), duration(150), duration(7500)
    ('8 s', '2 min 30 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def reason(failure: Failure | None) -> str:
    """Write why something failed in one line; empty if it did not."""
    if failure is None:
        return ""
    return failure.cause + (f" (plugin {failure.plugin!r})" if failure.plugin else "")


Activity = Literal["preflight", "cell", "timing"]


class Listener(Protocol):
    """Hears of a run's cells; called in the run's own thread, so it must be quick and must not raise."""

    def planned(self, cells: Sequence[Cell], recorded: int) -> None:
        """Hear which cells are to run, and how many others are already recorded; comes first."""

    def started(self, activity: Activity, cell: Cell) -> None:
        """Hear that a worker started; for "preflight" and "timing" the cell stands for its method."""

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Hear what the worker emitted (see `segbench.engine.job.Channel`)."""

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Hear how it ended; a cell may end that never started here: skipped, or run by another process."""

    def notice(self, message: str) -> None:
        """Hear something in words."""


class Silence:
    """A listener that shows nothing."""

    def planned(self, cells: Sequence[Cell], recorded: int) -> None:
        """Show nothing."""

    def started(self, activity: Activity, cell: Cell) -> None:
        """Show nothing."""

    def reported(self, activity: Activity, cell: Cell, event: Event) -> None:
        """Show nothing."""

    def ended(self, activity: Activity, cell: Cell, status: Status, failure: Failure | None) -> None:
        """Show nothing."""

    def notice(self, message: str) -> None:
        """Show nothing."""
