"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from segbench.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def check_replaceable(path: Path, is_own: Callable[[Path], bool]) -> None:
    """Raise RecordError if anything but an empty folder, or one that is ours, stands at a path."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise RecordError(f"-o {path}: this is no folder; name another one")
    if path.is_dir() and any(path.iterdir()) and not is_own(path):
        raise RecordError(f"-o {path}: this folder holds something else; name a new one, or empty it")
    if not path.absolute().parent.is_dir():
        raise RecordError(f"-o {path}: there is no folder {path.absolute().parent}")


@contextmanager
def replacing_folder(path: Path, is_own: Callable[[Path], bool]) -> Iterator[Path]:
    """Make a folder beside `path` that takes its place when the block ends without an error.

    What stood there before is removed then. Raises RecordError as `check_replaceable`, and if the folder cannot be
    written.
    """
    check_replaceable(path, is_own)
    beside = path.absolute()
    fresh, old = (beside.with_name(f".{secrets.token_hex(8)}.{kind}") for kind in ("new", "old"))
    try:
        fresh.mkdir()
        yield fresh
        if beside.exists():
            beside.rename(old)
        fresh.rename(beside)
    except OSError as error:
        if old.exists() and not beside.exists():
            with suppress(OSError):
                old.rename(beside)
        raise RecordError(f"-o {path}: it cannot be written: {error.strerror or error}") from error
    finally:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file of such a folder, and the folders on its way; on the disk before the folder takes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
