"""The processes that a process has started, and theirs; where /proc is missing none are known."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_STATE, _PARENT, _STARTED = 0, 1, 19  # places in /proc/PID/stat behind the name

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2), Linux

# They end by themselves once those who use them have gone.
_HOUSEKEEPING = ("multiprocessing.resource_tracker", "torch/_inductor/compile_worker")


class Process(NamedTuple):
    """A process as it was seen; `started` in the kernel's ticks tells it from a later one with the same number."""

    pid: int
    started: int

    @property
    def lives(self) -> bool:
        """Whether it has not ended yet."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_STARTED]) == self.started and fields[_STATE] not in "ZX"

    @property
    def command(self) -> str:
        """Its command line; empty once it has ended."""
        try:
            text = (_PROC / str(self.pid) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
        return text.replace("\0", " ").strip()

    def kill(self) -> None:
        """Kill it; nothing happens if it has ended, even if another process has its number by now."""
        if self.lives:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


def children(pid: int) -> list[Process]:
    """Return the processes that a process is the parent of."""
    pids: list[int] = []
    for thread in _threads(pid):
        with suppress(OSError):  # it has ended meanwhile
            pids += map(int, (thread / "children").read_text().split())
    return [found for child in pids if (found := process(child)) is not None]


def descendants(pid: int) -> list[Process]:
    """Return the children of a process, their children, and so on, each after its parent."""
    return [found for child in children(pid) for found in (child, *descendants(child.pid))]


def process(pid: int) -> Process | None:
    """Return the process that has a number now; None if there is none."""
    fields = _stat(pid)
    return None if fields is None else Process(pid, int(fields[_STARTED]))


def parent_of(pid: int) -> Process | None:
    """Return the parent of a process; None if it has ended."""
    fields = _stat(pid)
    return None if fields is None else process(int(fields[_PARENT]))


def left_behind() -> list[Process]:
    """Return the processes that this one has started and that still run, but for what ends by itself."""
    return [
        one for one in descendants(os.getpid()) if one.lives and not any(name in one.command for name in _HOUSEKEEPING)
    ]


def adopt_orphans() -> None:
    """Have processes whose parent ends, and that this one has started, become its children; Linux only.

    Otherwise they would be the first process's, and nobody could tell any more who has started them.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _threads(pid: int) -> list[Path]:
    """Return the folders of a process's threads; none if it has ended."""
    try:
        return list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat behind the name, which may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
