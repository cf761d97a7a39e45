"""Temporary folders whose names tell which process made them, so that a later one removes those of killed processes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from segbench.store.process import find_process, is_alive, machine

# The machine, the number and the start of a process; the start is missing where it is unknown.
_NAME = re.compile(r"segbench-(?P<machine>[0-9a-f]{7})-(?P<pid>\d{1,9})-(?P<started>\d*)-\w+")

# Bytes that a folder has in the path of a file in it, at most: of the name above and two slashes.
LONGEST_NAME = 46


def temporary_folder() -> TemporaryDirectory[str]:
    """Return a new temporary folder in $TMPDIR, which is removed at the end of a `with` block."""
    return TemporaryDirectory(prefix=_prefix())


def make_temporary_folder(where: Path) -> Path:
    """Return a new temporary folder, which whoever asks for it removes."""
    return Path(mkdtemp(prefix=_prefix(), dir=where))


def remove_leftovers(where: Path) -> None:
    """Remove the folders above made here by processes of this machine and user that certainly run no more."""
    if sys.platform == "win32":
        return
    here = _machine()
    with suppress(OSError):
        for path in where.iterdir():
            found = _NAME.fullmatch(path.name)
            if found is None or found["machine"] != here:
                continue
            if not is_alive(int(found["pid"]), int(found["started"]) if found["started"] else None) and _is_own(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_own(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _prefix() -> str:
    found = find_process(os.getpid())
    return f"segbench-{_machine()}-{os.getpid()}-{found.started if found else ''}-"


def _machine() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:7]
