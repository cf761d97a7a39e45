"""A lock on a file that the kernel drops with the process that holds it.

This is flock itself, not the package filelock: that one cannot lock a file that it may only read, such as the lock of
a device that another user has made.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from segbench.errors import RecordError
from segbench.files import open_file

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def open_lock(path: Path) -> Iterator[int]:
    """Open a lock file, made if it is missing, and yield its descriptor; a lock that it has is dropped at the end.

    Raises RecordError for what is no file, such as a link or a pipe, and for one that cannot be opened.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise RecordError(f"cannot use the lock {path}: {error.strerror}; remove what is there") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open for writing, as NFS asks for, or for reading where that is all that another user's file allows."""
    with suppress(FileNotFoundError):
        try:
            return open_file(path, os.O_RDWR)
        except OSError as error:
            if error.errno not in FORBIDDEN:
                raise
            return open_file(path)
    return open_file(path, os.O_RDWR | os.O_CREAT)


def lock(descriptor: int) -> None:
    """Wait for the lock; OSError where the file system has none."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def try_lock(descriptor: int) -> bool:
    """Take the lock if no other process holds it, and return whether it was taken; on Windows always True."""
    return sys.platform == "win32" or _try(descriptor, fcntl.LOCK_EX)


def try_share(descriptor: int) -> bool:
    """Share the lock unless a process has it alone, and return whether it is shared; on Windows always True."""
    return sys.platform == "win32" or _try(descriptor, fcntl.LOCK_SH)


def _try(descriptor: int, operation: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        return True
    return False
