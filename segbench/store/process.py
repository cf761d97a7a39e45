"""A process of this machine, and no later one that has the same number; where /proc is missing none is known.

Read from /proc and not through psutil: the files of leases hold the kernel's ticks, which psutil does not give, and
looking for the children of a process, as the limit of memory does several times a second also while methods are timed,
takes psutil a look at every process of the machine.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_STATE, _PARENT, _STARTED = 0, 1, 19  # places in /proc/PID/stat behind the name


class Process(NamedTuple):
    """A process as it was seen; `started` is its start in the kernel's ticks since boot."""

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet; a process that ended and is not waited for is dead."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_STARTED]) == self.started and fields[_STATE] not in "ZX"

    @property
    def command(self) -> str:
        """Its command line; empty once it has ended."""
        try:
            text = (PROC / str(self.pid) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
        return text.replace("\0", " ").strip()

    def kill(self) -> None:
        """Kill it; nothing happens if it has ended, even if another process has its number by now."""
        if self.is_alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


def find_process(pid: int) -> Process | None:
    """Return the process that has a number now; None if there is none."""
    fields = _stat(pid)
    return None if fields is None else Process(pid, int(fields[_STARTED]))


def parent_of(pid: int) -> Process | None:
    """Return the parent of a process; None if it has ended."""
    fields = _stat(pid)
    return None if fields is None else find_process(int(fields[_PARENT]))


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat behind the name, which may hold anything."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
