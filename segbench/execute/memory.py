"""How much memory a process tree holds and how much there is; where /proc is missing nothing is limited."""

from __future__ import annotations

import os
from pathlib import Path

from .descendants import descendants

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
