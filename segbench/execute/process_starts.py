"""Processes that the function of a worker leaves running: how many, what they are, and which plugins started any."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .blame import blame_for_files
from .descendants import left_behind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Python's audit events of new processes; multiprocessing's "spawn" has none.
_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_SHOWN_LETTERS = 60


class ProcessStarts:
    """Who starts processes in this one, from `watch` on until it ends."""

    def __init__(self) -> None:
        self._stacks: set[tuple[str, ...]] = set()

    def watch(self) -> None:
        """Note the source files of whoever starts a process; that cannot be ended."""
        sys.addaudithook(self._heard)

    def remark(self) -> str | None:
        """Say which processes still run and which plugins started any; None if there are none."""
        processes = left_behind()
        if not processes:
            return None
        plugins = sorted({plugin for stack in self._stacks if (plugin := blame_for_files(stack)) is not None})
        who = " and ".join(f"plugin {plugin!r}" for plugin in plugins) or "the cell"
        number = "a process" if len(processes) == 1 else f"{len(processes)} processes"
        return f"{who} left {number} running, now killed: {_shortened(processes[0].command)}"

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS:
            self._stacks.add(tuple(_files(sys._getframe(1))))


def _files(frame: FrameType | None) -> Iterator[str]:
    """Yield the source files of a stack, innermost first."""
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def _shortened(command: str) -> str:
    return command if len(command) <= _SHOWN_LETTERS else f"{command[: _SHOWN_LETTERS - 3]}..."
