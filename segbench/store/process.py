"""Processes of this machine, by number and start time, since the system uses numbers again; none without /proc.

Why not psutil: lease files hold the start in the kernel's ticks, which psutil does not give. And to find the children
of a process, psutil reads every process of the machine; the memory limit needs them several times a second, also while
methods are timed.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # indices of the fields of /proc/PID/stat after the name


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
        """Kill it; does nothing if it has ended, even if another process has its number by now."""
        if self.is_alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


def find_process(pid: int) -> Process | None:
    """Return the process that has this number now; None if there is none."""
    fields = _stat(pid)
    return None if fields is None else Process(pid, int(fields[_STARTED]))


def machine() -> str:
    """Return what tells the machine, its boot and its container apart from all others: where a number has a meaning."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append((PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink(PROC / "self/ns/pid"))
    return " ".join(parts)


def is_alive(pid: int, started: int | None) -> bool:
    """Return whether a process of this machine runs; where its start is unknown, any process of its number counts."""
    if started is not None:
        return Process(pid, started).is_alive
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        return True
    return True


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name, which may hold any characters; None if it has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
