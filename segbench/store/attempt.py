"""Attempts at a cell: the folder that each writes to, what it takes over from earlier ones, what is left of them."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from segbench.checksum import check_seal
from segbench.files import check_file, read_file

from .atomic import link_or_copy, remove_abandoned, storing_in
from .folder import CHECKPOINT, EVENTS, files_of
from .leases import find_abandoned, has_ended, is_marker, newest_attempt
from .pictures import SAMPLES, step_grids
from .record import ATTEMPT

if TYPE_CHECKING:
    from pathlib import Path

    from .folder import ResultsFolder
    from .leases import Lease

# What processes of older versions that were killed have left: folders of output, and files that they were writing.
_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{16}(\.tmp)?")


def attempt_folder(folder: ResultsFolder, lease: Lease) -> Path:
    """Return the folder that an attempt writes to; it need not exist."""
    return folder.cell_folder(lease.key) / lease.attempt


def begin_attempt(folder: ResultsFolder, lease: Lease) -> Path:
    """Make the folder of an attempt, which continues from the newest whole checkpoint of earlier ones if there is one.

    A second attempt beside another begins anew, so that its seconds are of one machine. The folders of others are not
    written to; those of attempts that are certainly over are removed. For the process that holds the lease. Raises
    RecordError if the folder is full or read-only.
    """
    fresh, cell = attempt_folder(folder, lease), folder.cell_folder(lease.key)
    with storing_in(cell):
        found = filter(_is_attempt, cell.iterdir())
        earlier = sorted(found, key=lambda attempt: int(attempt.name.partition("-")[0]), reverse=True)
        fresh.mkdir(exist_ok=True)  # of this process before somebody removed the marker, and with it the number
        checkpoint = _find_newest([path / CHECKPOINT for path in (*earlier, cell)])
        if checkpoint is not None and not lease.is_second:
            _continue(checkpoint, fresh)
    for path in _find_ended(folder, lease.key, earlier):
        _remove(path)
    return fresh


def _find_ended(folder: ResultsFolder, key: str, attempts: list[Path]) -> list[Path]:
    """Return the attempts that can never be published: their process is dead, or has told how they ended."""
    dead = [path for path in attempts if has_ended(folder.cell_folder(key), path.name)]
    told = folder.read(key)  # after that: one may have been published before its process died
    if told is not None and told.status == "ok":
        return []
    return [path for path in attempts if path in dead or (told is not None and told.attempt == path.name)]


def tidy(folder: ResultsFolder, key: str) -> None:
    """Remove what other attempts have left of a cell that is finished, and what its own needs no more.

    None of the others can be published any more, so it does not matter whether one is still at work. An attempt that
    begins after this has looked at the folder is not touched, whatever happens to the record meanwhile.
    """
    cell = folder.cell_folder(key)
    listed = list(cell.iterdir()) if cell.is_dir() else []
    record = folder.read_finished(key)
    if record is None:
        return
    for path in listed:
        if path.name != record.attempt and (_is_attempt(path) or _LEFT_BEHIND.fullmatch(path.name)):
            _remove(path)
    remove_abandoned(files_of(folder.path, record))
    markers = [path for path in listed if is_marker(path)]
    checkpoints = [place / CHECKPOINT for place in (cell, files_of(folder.path, record))]
    for path in [*markers, *checkpoints, folder.unfinished_path(key)]:
        with suppress(OSError):
            path.unlink()


def sweep(folder: ResultsFolder) -> None:
    """Remove the lease files of processes that are gone, once their cells are finished or others have them."""
    for path, numbers in find_abandoned(folder):
        waiting = [key for key, number in numbers.items() if not _is_settled(folder, key, number)]
        if not waiting:
            _remove(path)


def _is_settled(folder: ResultsFolder, key: str, number: int) -> bool:
    """Return whether nobody needs to know who began an attempt; a process that was killed may not have tidied."""
    tidy(folder, key)
    return folder.read_finished(key) is not None or newest_attempt(folder.cell_folder(key)) > number


def _find_newest(paths: list[Path]) -> Path | None:
    """Return the newest whole one of those checkpoints that are there; else the newest, which is told to be damaged.

    Of the same age, as what was taken over and not yet replaced, is the first.
    """
    found = sorted(filter(_is_file, paths), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return next(filter(_is_whole, found), found[0] if found else None)


def _continue(checkpoint: Path, fresh: Path) -> None:
    """Take over a checkpoint, what was told before it, and the pictures made on the way; the checkpoint last.

    An attempt replaces its checkpoint and never writes into it, so two may have one file.
    """
    place = checkpoint.parent
    with suppress(OSError):
        (fresh / EVENTS).write_bytes(read_file(place / EVENTS))
    for picture in step_grids(place / SAMPLES).values():
        with suppress(OSError):
            (fresh / SAMPLES).mkdir(exist_ok=True)
            (fresh / SAMPLES / picture.name).write_bytes(read_file(picture))
    link_or_copy(checkpoint, fresh / CHECKPOINT)


def _is_whole(path: Path) -> bool:
    try:
        check_seal(path)
    except (OSError, ValueError):
        return False
    return True


def _is_file(path: Path) -> bool:
    try:
        check_file(path)
    except OSError:
        return False
    return path.exists() and not path.is_symlink()


def _is_attempt(path: Path) -> bool:
    return re.fullmatch(ATTEMPT, path.name) is not None and path.is_dir() and not path.is_symlink()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
