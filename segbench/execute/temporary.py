"""Temporary folders whose names tell which process made them, so that a later one removes those of killed processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import multiprocessing.util
import os
import re
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from segbench.errors import SegbenchError
from segbench.store.process import find_process, is_alive, machine

# The machine, the number and the start of a process; the start is missing where it is unknown.
_NAME = re.compile(r"segbench-(?P<machine>[0-9a-f]{7})-(?P<pid>\d{1,9})-(?P<started>\d*)-\w+")

# Bytes that a folder has in the path of a file in it, at most: of the name above and two slashes.
_LONGEST_NAME = 46
_SOCKET_FOLDER_BYTES = 103 - _LONGEST_NAME - 17  # of a socket's path; multiprocessing's own name has 17
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def temporary_folder() -> TemporaryDirectory[str]:
    """Return a new temporary folder in $TMPDIR, which is removed at the end of a `with` block."""
    return TemporaryDirectory(prefix=_prefix())


def make_temporary_folder(where: Path) -> Path:
    """Return a new temporary folder, which whoever asks for it removes."""
    return Path(mkdtemp(prefix=_prefix(), dir=where))


def choose_socket_folder() -> None:
    """Let the sockets of multiprocessing lie where their paths are short enough; SegbenchError if nowhere is.

    The system allows about a hundred bytes, so that a long temporary folder ($TMPDIR) cannot hold them. The folder is
    private to the user and removed at the end; those of processes that were killed are removed here.
    """
    if "tempdir" in multiprocessing.current_process()._config:  # type: ignore[attr-defined]  # chosen before
        return
    usual = tempfile.gettempdir()
    short = (folder for folder in (usual, *_SHORT_FOLDERS) if len(os.fsencode(folder)) <= _SOCKET_FOLDER_BYTES)
    chosen = next((folder for folder in short if os.access(folder, os.W_OK | os.X_OK)), None)
    if chosen is None:
        raise SegbenchError(
            f"the temporary folder {usual} has too long a path for sockets, and {' and '.join(_SHORT_FOLDERS)} cannot "
            f"be written; set TMPDIR to a folder of at most {_SOCKET_FOLDER_BYTES} bytes"
        )
    for folder in {usual, *_SHORT_FOLDERS}:
        remove_leftovers(Path(folder))
    sockets = str(make_temporary_folder(Path(chosen)))
    multiprocessing.util.Finalize(None, shutil.rmtree, args=(sockets, True), exitpriority=-100)
    multiprocessing.current_process()._config["tempdir"] = sockets  # type: ignore[attr-defined]


def remove_leftovers(where: Path) -> None:
    """Remove such folders from one folder whose processes, of this machine and user, certainly run no more."""
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
