"""How much memory a process tree holds and how much there is; where /proc is missing nothing is limited.

The processes that a process has started, and theirs; where /proc is missing none are known.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


_CGROUPS = Path("/sys/fs/cgroup")


# Pages of mapped files (the data cache) are not counted: the system drops them when it needs room.
_HELD = ("RssAnon:", "RssShmem:")


def resident_bytes(pid: int) -> int:
    """Return the bytes of memory that a process and its descendants hold, file pages left out; 0 if it is gone."""
    return _held_bytes(pid) + sum(_held_bytes(one.pid) for one in descendants(pid))


def machine_bytes() -> int | None:
    """Return the memory of this machine, or of its container or batch job where that is less; None if unknown."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    limits = [limit for limit in (physical, _cgroup_limit()) if limit]
    return min(limits, default=None)


def fair_share(jobs: int) -> int | None:
    """Return what each of `jobs` workers may hold: together 90 % of the machine's memory."""
    total = machine_bytes()
    return None if total is None else int(total * 0.9 / jobs)


def readable(size: float) -> str:
    """Write a number of bytes for people.

    >>> readable(512), readable(1.5e9)
    ('512 B', '1.5 GB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"


def _held_bytes(pid: int) -> int:
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    fields = (line.split() for line in status.splitlines() if line.startswith(_HELD))
    return sum(int(kibibytes) * 1024 for _, kibibytes, _ in fields)


def _cgroup_limit() -> int | None:
    """Return the smallest memory limit of this process's control group and those above it."""
    try:
        path = (_PROC / "self" / "cgroup").read_text().rpartition("::")[2].strip()
    except OSError:
        return None
    folder = _CGROUPS / path.lstrip("/")
    limits = [_limit_in(level / "memory.max") for level in (folder, *folder.parents) if level.is_relative_to(_CGROUPS)]
    limits.append(_limit_in(_CGROUPS / "memory" / "memory.limit_in_bytes"))  # version 1 of control groups
    return min((limit for limit in limits if limit), default=None)


def _limit_in(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


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
