"""Files written whole or not at all, and the error for a folder that cannot be written to."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from segbench.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FULL = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends without an error.

    The content is flushed to the disk before it takes the name, so that a reader, or the next run after a crash, finds
    the old file or the new one and never a part. It has the permissions of the old file. The folder is made if it is
    missing. Raises RecordError if the folder is full, read-only or no folder.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # as short for long names
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x+b") as file:
            with suppress(FileNotFoundError):  # there is none yet
                if stat.S_ISREG(mode := path.lstat().st_mode):
                    temporary.chmod(stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path.parent, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file at once; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def storage_error(folder: Path, error: OSError) -> RecordError:
    """Return the RecordError that says which folder cannot be written to, why, and what to do."""
    if error.errno in FULL:
        cause, advice = "the disk or quota is full", "free some space"
    elif error.errno in FORBIDDEN:
        cause, advice = "it is read-only here", "make it writable for this user"
    elif error.errno == errno.EISDIR:
        cause, advice = f"{error.filename2 or error.filename} is a folder where a file belongs", "move that folder away"
    elif error.errno in NOT_A_FOLDER:
        cause, advice = "a part of that path is a file, not a folder", "move that file away"
    else:
        cause, advice = "the system refuses it", "remove that cause"
    return RecordError(
        f"cannot write to the results folder {folder}: {cause} ({error.strerror or error}); "
        f"{advice}, or choose another folder with --results"
    )
