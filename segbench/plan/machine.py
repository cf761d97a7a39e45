"""What this machine has to compute with, and where segbench's cache is; found without torch."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

from segbench.errors import SegbenchError

CPU_INFO = Path("/proc/cpuinfo")

# Where the CUDA driver shows that it is loaded: on Linux, and in Windows' subsystem for Linux.
DEVICES = Path("/dev")
NVIDIA = (DEVICES / "nvidiactl", DEVICES / "dxg")


def usable_cores() -> int:
    """Return how many cores this process may run on: the thread count of a method whose protocol states none."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> frozenset[str] | None:
    """Return the instruction sets of an x86 CPU as Linux names them; None where it does not tell."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not CPU_INFO.is_file():
        return None
    return parse_flags(CPU_INFO.read_text())


def parse_flags(cpu_info: str) -> frozenset[str] | None:
    """Return the flags of the first CPU in the text of /proc/cpuinfo; None if it lists none."""
    for line in cpu_info.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return frozenset(flags.split())
    return None


def likely_device() -> str:
    """Return "cuda" where its driver shows, else "cpu": a guess, since only torch knows."""
    return "cuda" if any(path.exists() for path in NVIDIA) else "cpu"


def likely_gpus() -> int:
    """Return how many NVIDIA devices show and are visible to this process; 0 where that cannot be known."""
    there = sum(path.name.removeprefix("nvidia").isdigit() for path in DEVICES.glob("nvidia*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if visible is None else min(there, len([name for name in visible.split(",") if name.strip()]))


@cache
def source_commit() -> str | None:
    """Return the commit that this segbench was installed from or is checked out at; None where nothing tells.

    "-dirty" stands behind that of a checkout whose files have been changed since.
    """
    from importlib.metadata import distribution

    installed = json.loads(distribution("segbench").read_text("direct_url.json") or "{}")
    if commit := installed.get("vcs_info", {}).get("commit_id"):
        return str(commit)
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"]
    try:
        quietly = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=quietly)
    except (OSError, subprocess.SubprocessError):  # no git, or it does not trust the folder's owner
        return None
    return done.stdout.strip() or None


def cache_folder() -> Path:
    """Return the absolute path of the cache folder: $SEGBENCH_CACHE, else the platform's cache folder of the user.

    The folder need not exist yet. Raises SegbenchError where it would be in a home folder that nobody knows.
    """
    import platformdirs

    chosen = os.environ.get("SEGBENCH_CACHE")
    with suppress(RuntimeError):  # no HOME, and no entry of the user in the system's list
        folder = Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("segbench")
        if folder.is_absolute():  # older platformdirs leave "~" as it is
            return folder
    raise SegbenchError(
        "the home folder of this user is not known, so there is no cache folder; set SEGBENCH_CACHE to the absolute "
        "path of a folder that can be written, or set HOME"
    )
