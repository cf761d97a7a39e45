"""What a run tells whoever shows its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.plan.cell import Cell
    from segbench.store.record import Failure, Status

    from .workers import Event

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
