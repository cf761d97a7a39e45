"""Removal of a cell: its record first, then its other files, while no other process works on it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .atomic import storing_in
from .leases import acquire
from .segments import bytes_of_cell, take_out

if TYPE_CHECKING:
    from .folder import ResultsFolder


def size_of_cell(folder: ResultsFolder, key: str) -> int:
    """Return the bytes of a cell's record and of the files in its folder; links count by themselves.

    Of a segment it is an equal share.
    """
    places = () if folder.cell_folder(key).is_symlink() else os.walk(folder.cell_folder(key))
    paths = [Path(place) / name for place, _, names in places for name in names]
    loose = sum(map(_size, [folder.record_path(key), folder.unfinished_path(key), *paths]))
    return loose + bytes_of_cell(folder.record_path(key))


def remove_cell(folder: ResultsFolder, key: str) -> bool:
    """Remove a cell's record and all that lies in its folder; False, with nothing removed, if another process has it.

    What links lead to stays. Raises RecordError if the folder is read-only.
    """
    lease = acquire(folder, key)
    if lease is None:
        return False
    try:
        with storing_in(folder.path), folder.locked():
            if lease.is_lost:
                return False
            take_out(folder.path, [key])
            for path in (folder.record_path(key), folder.unfinished_path(key), folder.cell_folder(key)):
                _remove(path)
    finally:
        lease.release()
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    with suppress(OSError):  # removed this moment
        return path.lstat().st_size
    return 0
