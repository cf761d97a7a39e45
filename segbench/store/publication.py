"""Publication of a cell: how the record of one attempt becomes that of the cell, whoever else works on it.

An attempt writes into its own folder only, and what counts is decided by one step: its record, written whole beside its
other files, gets <key>.json as a second name (a hard link), which fails if the name is taken. No publisher renames onto
that name or removes it while a finished record has it. So the first to finish wins, and one that was halted anywhere
before this step, for whatever time, finds the name taken. What is not ok has a name of its own, <key>.unfinished.json,
which the holder of the newest lease replaces at will: that cannot hit a finished record.

What lies at <key>.json and is none (of an older version, or damaged) is moved away under a lock, after a second look.
The kernel keeps that lock for a halted process and drops it with a dead one, nobody moves anything without it, and a
record comes only where the name is free: so what is moved is what was looked at. Timing completes a finished record
under the same lock, and only that of the attempt it was taken of. Where there are no locks, what was moved is looked at
again and put back. A record in a segment (segments.py) counts whatever has its loose name: compaction takes a finished
record from its name only after the manifest of the segments holds its key, and who comes after that finds it there and
withdraws. Where a file has one name only, <key>.json is made with O_EXCL and then filled, and made again if
somebody has taken the beginning of it for a damaged file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from segbench.errors import RecordError

from .atomic import create, storing_in, write_atomically
from .attempt import attempt_folder
from .segments import is_packed

if TYPE_CHECKING:
    from .folder import ResultsFolder
    from .leases import Lease
    from .record import Record

_TRIES = 5


def publish(folder: ResultsFolder, lease: Lease, record: Record) -> Record | None:
    """Publish how an attempt ended, and return the record that the cell has now.

    That is the given one with its attempt, or an ok one that another attempt was first to publish; None, with nothing
    published, if the given one is not ok and the lease is lost or that of a second attempt. Raises RecordError if the
    folder is full or read-only, or if that of an attempt that finished is gone.
    """
    record = record.model_copy(update={"attempt": lease.attempt})
    if record.status == "ok":
        return _publish_finished(folder, lease, record)
    if (other := folder.read_finished(record.key)) is not None:
        return other
    if lease.is_lost or lease.is_second:
        return None
    if os.path.lexists(folder.record_path(record.key)):
        folder.make_room(record.key)
    write_atomically(folder.unfinished_path(record.key), _as_file(record))
    return record


def _publish_finished(folder: ResultsFolder, lease: Lease, record: Record) -> Record:
    path = folder.record_path(record.key)
    for _ in range(_TRIES):
        if (other := folder.read_finished(record.key)) is not None:
            return other
        with storing_in(folder.path):
            if os.path.lexists(path):
                folder.make_room(record.key)
        try:
            made = create(path, _as_file(record), attempt_folder(folder, lease))
        except RecordError:
            if (other := folder.read_finished(record.key)) is None:
                raise
            return other  # whose process has removed what other attempts had left
        if made and is_packed(path):  # the name was free as the record that was first has been compacted since
            _withdraw(folder, record)
        elif made:
            with suppress(OSError):
                folder.unfinished_path(record.key).unlink(missing_ok=True)
            return record
    raise RecordError(f"{path} is no record of a finished cell and cannot be moved; move it away and run again")


def _withdraw(folder: ResultsFolder, record: Record) -> None:
    path = folder.record_path(record.key)
    with folder.locked(), suppress(OSError):
        if is_packed(path) and path.read_bytes() == _as_file(record):
            path.unlink()


def _as_file(record: Record) -> bytes:
    return f"{record.model_dump_json(indent=1)}\n".encode()
