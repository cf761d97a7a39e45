"""Progress as a table that changes in place, for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .tracking import Progress, Tracker, duration, reason

if TYPE_CHECKING:
    from rich.console import RenderableType

_OTHER_LINES = 8  # headings, the bar, notices
_NOTICES = 3
_COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow", "interrupted": "yellow", "waiting": "dim"}


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
