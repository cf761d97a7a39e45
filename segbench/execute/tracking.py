"""How far a run has come: what its displays show."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Status

    from .listener import Activity
    from .workers import Event

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
