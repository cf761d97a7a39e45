"""Files written whole or not at all, and the error for a folder that cannot be written to."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from segbench.errors import RecordError
from segbench.files import open_file

from .lock import FORBIDDEN, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator


FULL = {errno.ENOSPC, errno.EDQUOT}
NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}
A_FILE = "a part of that path is a file, not a folder"
# Causes for which a file cannot have a second name, by the file system.
_ONE_NAME = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends without an error.

    The content is flushed to the disk before it takes the name, so that a reader, or the next run after a crash, finds
    the old file or the new one and never a part. It has the permissions of the old file. The folder is made if it is
    missing. Raises RecordError if the folder is full, read-only or no folder.
    """
    with storing_in(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open_temporary(path.parent) as file, _removing(Path(file.name)) as temporary:
            with suppress(FileNotFoundError):  # there is none yet
                if stat.S_ISREG(mode := path.lstat().st_mode):
                    temporary.chmod(stat.S_IMODE(mode))
            yield file
            _finish(file)
            temporary.replace(path)
        _sync_folder(path.parent)


def _open_temporary(folder: Path) -> BinaryIO:
    """Open a new file that is locked as long as it is open, so that `remove_abandoned` leaves it alone."""
    while True:
        file = (folder / f".{secrets.token_hex(8)}.tmp").open("x+b")  # as short for long names
        try:
            is_held = try_lock(file.fileno()) and Path(file.name).exists()
        except OSError:  # the file system has no locks, and nobody can take the file for abandoned
            is_held = True
        if is_held:
            return file
        file.close()


@contextmanager
def _removing(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def create(path: Path, content: bytes, place: Path) -> bool:
    """Write a whole file unless there is one; returns whether it was written.

    It is written in the folder `place`, which must be there, and then gets its name.
    Raises RecordError if the folder is full, read-only or missing.
    """
    with storing_in(path.parent):
        with _open_temporary(place) as file, _removing(Path(file.name)) as temporary:
            file.write(content)
            _finish(file)
            made = link_or_copy(temporary, path)
        _sync_folder(path.parent)
    return made


def _finish(file: BinaryIO) -> None:
    """Put what was written on the disk, before the file gets its name."""
    file.flush()
    os.fsync(file.fileno())
    if sys.platform == "win32":  # where an open file keeps its name
        file.close()


def link_or_copy(source: Path, path: Path) -> bool:
    """Give a file a second name unless that is taken, or copy it where there is one name a file; False if it is taken.

    A copy is not whole at once. Who takes what there is of it for a damaged file moves it away, and it is made again.
    """
    try:
        os.link(source, path)
    except FileExistsError:
        # A file server that was not heard the first time finds the name that it has given.
        with suppress(FileNotFoundError):
            return source.samefile(path)
        return False
    except OSError as error:
        if error.errno not in _ONE_NAME:
            raise
        return _copy(source, path)
    return True


def _copy(source: Path, path: Path) -> bool:
    try:
        with path.open("xb") as file:
            with source.open("rb") as content:
                shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileExistsError:
        pass
    return False


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file at once; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of a folder that `replacing` was writing in processes that are dead by now."""
    if sys.platform == "win32":  # where no lock says who writes
        return
    with suppress(OSError):
        for path in [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]:
            _remove_abandoned_file(path)


def _remove_abandoned_file(path: Path) -> None:
    # An error: it has its name by now, or nobody may lock it.
    with suppress(OSError), open(open_file(path, os.O_RDWR), "rb") as file:
        if try_lock(file.fileno()):
            path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def say_cause(error: OSError) -> str:
    """Return why something cannot be written; of a file where a folder belongs systems say that it exists."""
    return A_FILE if error.errno in NOT_A_FOLDER else error.strerror or str(error)


@contextmanager
def storing_in(folder: Path) -> Iterator[None]:
    """Raise RecordError, as `storage_error` makes it, for an OSError of the block, which writes to a folder."""
    try:
        yield
    except OSError as error:
        raise storage_error(folder, error) from error


def storage_error(folder: Path, error: OSError) -> RecordError:
    """Return the RecordError that says which folder cannot be written to, why, and what to do."""
    if error.errno in FULL:
        cause, advice = "the disk or quota is full", "free some space"
    elif error.errno in FORBIDDEN:
        cause, advice = "it is read-only here", "make it writable for this user"
    elif error.errno == errno.EISDIR:
        cause, advice = f"{error.filename2 or error.filename} is a folder where a file belongs", "move that folder away"
    elif error.errno in NOT_A_FOLDER:
        cause, advice = A_FILE, "move that file away"
    else:
        cause, advice = "the system refuses it", "remove that cause"
    return RecordError(
        f"cannot write to the results folder {folder}: {cause} ({error.strerror or error}); "
        f"{advice}, or choose another folder with --results"
    )
