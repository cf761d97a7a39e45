"""Progress as plain lines, for logs and pipes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from .tracking import Progress, Tracker, duration, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Status

    from .listener import Activity
    from .workers import Event

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
