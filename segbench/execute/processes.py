"""The processes that a process has started, the memory that they hold, and how much each worker may hold.

Without /proc no descendants are found, memory counts as 0, and so no limit of memory takes effect.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

from segbench.store.process import PROC, Process, find_process

_CGROUPS = Path("/sys/fs/cgroup")
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2), Linux
# Pages of mapped files (the data cache) are not counted: the system drops them when it needs room.
_HELD = ("RssAnon:", "RssShmem:")
# They end by themselves once the processes that use them have ended.
_HOUSEKEEPING = ("multiprocessing.resource_tracker", "torch/_inductor/compile_worker")


def children(pid: int) -> list[Process]:
    """Return the processes that a process is the parent of."""
    pids: list[int] = []
    for thread in _threads(pid):
        with suppress(OSError):  # it has ended meanwhile
            pids += map(int, (thread / "children").read_text().split())
    return [found for child in pids if (found := find_process(child)) is not None]


def descendants(pid: int) -> list[Process]:
    """Return the children of a process, their children, and so on, each after its parent."""
    return [found for child in children(pid) for found in (child, *descendants(child.pid))]


def left_behind() -> list[Process]:
    """Return the processes that this one has started and that still run, without those that end by themselves."""
    running = [one for one in descendants(os.getpid()) if one.is_alive]
    return [one for one in running if not any(name in one.command for name in _HOUSEKEEPING)]


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; Linux only.

    Otherwise process 1 would become their parent, and nobody could know any more who has started them.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def resident_bytes(pid: int) -> int:
    """Return the bytes of memory that a process and its descendants hold, file pages left out; 0 if it is gone."""
    return _held_bytes(pid) + sum(_held_bytes(one.pid) for one in descendants(pid))


def fair_share(jobs: int) -> int | None:
    """Return what each of `jobs` workers may hold in bytes: together 90 % of the machine's memory; None if unknown."""
    total = machine_bytes()
    return None if total is None else int(total * 0.9 / jobs)


def machine_bytes() -> int | None:
    """Return the memory of this machine, or of its container or batch job where that is less; None if unknown."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    limits = [limit for limit in (physical, _cgroup_limit()) if limit]
    return min(limits, default=None)


def free_bytes() -> int | None:
    """Return the bytes that further processes may hold: those available, at most 90 % of all; None if unknown."""
    share = fair_share(1)
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
    except OSError:
        return share
    available = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return min(share, *available) if share else None


def format_bytes(size: float) -> str:
    """Write a number of bytes for people.

    >>> format_bytes(512), format_bytes(1.5e9)
    ('512 B', '1.5 GB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"


def _threads(pid: int) -> list[Path]:
    """Return the folders of a process's threads; none if it has ended."""
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _held_bytes(pid: int) -> int:
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    fields = (line.split() for line in status.splitlines() if line.startswith(_HELD))
    return sum(int(kibibytes) * 1024 for _, kibibytes, _ in fields)


def _cgroup_limit() -> int | None:
    """Return the smallest memory limit of this process's control group and those above it."""
    try:
        path = (PROC / "self" / "cgroup").read_text().rpartition("::")[2].strip()
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
