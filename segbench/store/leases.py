"""Leases: which running process works on which cell, so that several runs on one results folder share the work.

A lease is the file claims/<key>.json. Creating it is exclusive by itself (O_EXCL). Taking over the lease of a process
that died, and releasing one, happen under a lock that the kernel drops with the process that holds it.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import stat
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, TextIO

from pydantic import Field, TypeAdapter

from segbench.errors import RecordError
from segbench.files import make_way_for_folder, set_aside

from .atomic import storage_error, write_atomically
from .json_file import read_json
from .lock import lock, open_lock
from .process import find_process, is_alive, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .folder import ResultsFolder


# A lease from another host counts as abandoned when its process has not renewed it for this long.
STALE_SECONDS = 60.0
# Causes for which a lease cannot be read now and then, as on a network; it is not lost for that.
_PASSING = {errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}


@dataclass(frozen=True)
class Owner:
    """The process that holds a lease.

    `machine` distinguishes boots and containers of one host name, in which a process id means different processes.
    `started` is the kernel's start time of the process (None where it is unknown), as process ids are used again.
    """

    host: str
    machine: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    started: int | None
    token: str


# Reads what a lease file holds.
_OWNER = TypeAdapter(Owner)


class Lease:
    """A cell that this process has for itself until `release`; call `renew` at least every 20 seconds."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self.path = path
        self.owner = owner

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the lease over, or somebody has removed it."""
        try:
            return _OWNER.validate_python(read_json(self.path)) != self.owner
        except ValueError:
            return True
        except OSError as error:
            return error.errno not in _PASSING

    def renew(self) -> bool:
        """Keep the lease for another minute; returns False if it is lost."""
        if self.is_lost:
            return False
        with suppress(OSError):
            os.utime(self.path)
        return True

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Let nobody take the lease over while the block runs; yields False if it is lost already.

        What counts for all runs, such as a record, is written in such a block only: this process may have been stopped
        for minutes at any place. Raises RecordError where locks do not work.
        """
        if self.is_lost:
            yield False
            return
        with _locked(self.path.parent):
            yield _read_owner(self.path) == self.owner

    def release(self) -> None:
        """Release the cell; does nothing if the lease was lost or the folder cannot be written to."""
        with suppress(OSError, RecordError), self.held() as held:
            if held:
                self.path.unlink()


@dataclass(frozen=True)
class LeaseSeen:
    """A lease as others see it: its cell and holder (None: not readable), and whether `acquire` could take it over."""

    key: str
    owner: Owner | None
    is_abandoned: bool


def see_leases(folder: ResultsFolder, now: float) -> list[LeaseSeen]:
    """Return the leases there are, and change nothing; `now` is the time by this machine's clock, since 1970.

    Of a process elsewhere, whose clock may be another, a lease counts as abandoned when it looks two minutes old.
    """
    found = []
    for path in sorted(folder.lease_folder.glob("*.json")):
        owner = _read_owner(path)
        with suppress(OSError):  # released this moment
            silent = now - path.stat().st_mtime
            is_here = owner is not None and owner.machine == machine()
            abandoned = not is_alive(owner.pid, owner.started) if owner and is_here else silent > 2 * STALE_SECONDS
            found.append(LeaseSeen(path.stem, owner, abandoned))
    return found


def acquire(folder: ResultsFolder, key: str) -> Lease | None:
    """Return the lease of a cell; None while another living process has it.

    A lease is abandoned if its process on this machine is dead (or its id is another process's by now), or if a process
    elsewhere has not renewed it for 60 seconds; of several processes that find it abandoned exactly one gets it. Read
    the record again afterwards: the process that had the cell may have finished it.

    Raises RecordError if the folder is full or read-only.

        if (lease := acquire(folder, cell.key)) is not None:
            try: ...
            finally: lease.release()
    """
    path = folder.lease_folder.absolute() / f"{key}.json"
    owner = this_process()
    try:
        make_way_for_folder(folder.lease_folder)
        taken = _create(path, owner) or _take_over(path, owner)
    except OSError as error:
        raise storage_error(folder.lease_folder, error) from error
    return Lease(path, owner) if taken else None


def _create(path: Path, owner: Owner) -> bool:
    """Create the lease file and return True; False if there is one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            _write_or_remove(file, path, owner)
    except FileExistsError:
        return False
    # Stopped for a minute before the line above, this process would have lost the empty file to another.
    return _read_owner(path) == owner


def _write_or_remove(file: TextIO, path: Path, owner: Owner) -> None:
    """Write the owner into a new lease file; on a full disk, remove the empty file."""
    try:
        json.dump(asdict(owner), file)
        file.flush()
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _take_over(path: Path, owner: Owner) -> bool:
    """Replace an abandoned lease; the file never disappears, so that no process can create it in between."""
    with _locked(path.parent) as lock_file:
        if not _is_abandoned(path, lock_file):
            return False
        if path.is_dir() and not path.is_symlink():
            set_aside(path)
        write_atomically(path, json.dumps(asdict(owner)).encode())
    return True


@contextmanager
def publishing(folder: ResultsFolder) -> Iterator[None]:
    """Keep all other runs from taking over a lease and from writing a record while the block runs.

    Raises RecordError if the folder is full or read-only, or where locks do not work.
    """
    try:
        make_way_for_folder(folder.lease_folder)
    except OSError as error:
        raise storage_error(folder.lease_folder, error) from error
    with _locked(folder.lease_folder):
        yield


@contextmanager
def _locked(leases: Path) -> Iterator[int]:
    """Hold the lock of a folder of leases; yields its descriptor."""
    with open_lock(leases / ".lock") as descriptor:
        try:
            lock(descriptor)
        except OSError as error:
            raise RecordError(
                f"the file system of {leases} has no file locks ({error.strerror}), so runs cannot share it safely; "
                "choose a folder on another file system with --results"
            ) from error
        yield descriptor


def _is_abandoned(path: Path, lock_file: int) -> bool:
    owner = _read_owner(path)
    if owner is not None and owner.machine == machine():
        return not is_alive(owner.pid, owner.started)
    os.utime(lock_file)  # the file server's clock, not ours, is what the lease's time must be compared with
    try:
        found = path.lstat()
    except FileNotFoundError:  # released this moment; the next call finds no lease
        return False
    # What is no file, such as a link or a pipe, was made by no run.
    return not stat.S_ISREG(found.st_mode) or os.fstat(lock_file).st_mtime - found.st_mtime > STALE_SECONDS


def _read_owner(path: Path) -> Owner | None:
    """Return who holds a lease; None if the file is gone or not written to its end."""
    try:
        return _OWNER.validate_python(read_json(path))
    except (OSError, ValueError):
        return None


def this_process() -> Owner:
    """Return this process as the owner of a lease."""
    pid = os.getpid()
    found = find_process(pid)
    return Owner(socket.gethostname(), machine(), pid, found.started if found else None, secrets.token_hex(8))
