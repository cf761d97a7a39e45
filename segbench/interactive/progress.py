"""The progress of a run in the output of a notebook's cell; elsewhere as the command line shows it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console

from segbench.execute.progress import LiveProgress, progress_on
from segbench.shown import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.execute.progress import Listener

_WIDTH = 100  # characters
_REFRESH_SECONDS = 0.25


@contextmanager
def show_progress() -> Iterator[Listener]:
    """Show progress in the output of the notebook's cell that runs, else on stderr."""
    if (display := _notebook_display()) is None:
        with progress_on(sys.stderr) as listener:
            yield listener
    else:
        with NotebookProgress(display) as listener:
            yield listener


def _notebook_display() -> Any:
    """Return the function by which a notebook shows things; None where none runs."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return display


class NotebookProgress(LiveProgress):
    """The bars of a run below a line for each ended cell: text that is replaced as it changes, in every notebook.

    `display` is IPython's; its text stays in the notebook as it was last, and needs no widgets.
    """

    def __init__(self, display: Any) -> None:
        self._console = Console(file=StringIO(), width=_WIDTH, color_system=None, force_jupyter=False)
        super().__init__(self._console)
        self._lines: list[str] = []
        self._write = lambda line: self._lines.append(clean(line))
        self._shown, self._drawn = display({"text/plain": ""}, raw=True, display_id=True), 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._draw()

    def notice(self, message: str) -> None:
        """Show the message at once."""
        super().notice(message)
        self._draw()

    def _show_whole(self) -> None:
        super()._show_whole()
        if self.now() - self._drawn > _REFRESH_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = self.now()
        with self._console.capture() as bars:
            self._console.print(self.display.get_renderable())
        self._shown.update({"text/plain": "\n".join([*self._lines, bars.get().rstrip()])}, raw=True)
