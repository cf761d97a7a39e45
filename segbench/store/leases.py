"""Leases: which running process works on which cell, so that several runs on one results folder share the work.

A process that works on cells has the file claims/<token>.json, which names them and which it touches every few seconds.
The attempts at a cell are numbered: whoever makes <key>/.<number>.lease, which is exclusive by itself (O_EXCL), has the
cell until somebody makes the next one. That is done where the process of the last one no longer names the cell, is dead
or is silent, so no lock is needed, and an attempt is lost as soon as the next number is there.

Leases save work and no more: two processes that both believe to have a cell spoil nothing; see publication.py.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from segbench.errors import RecordError
from segbench.files import make_way_for_folder

from .atomic import storing_in, write_atomically
from .json_file import read_json
from .lock import open_lock
from .process import find_process, is_alive, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .folder import ResultsFolder


# A process elsewhere counts as gone when it has not touched its lease file for this long.
STALE_SECONDS = 60.0
# Causes for which a lease cannot be read now and then, as on a network; it is not lost for that.
_OF_A_NETWORK = {errno.EIO, errno.ESTALE}
_PASSING = {errno.EACCES, errno.EPERM, *_OF_A_NETWORK}
_MARKER = re.compile(r"\.([0-9]{1,9})\.lease")


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
    token: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]

    @property
    def is_here(self) -> bool:
        """Whether it is or was a process of this machine."""
        return self.machine == machine()

    @property
    def is_dead(self) -> bool:
        """Whether it was a process of this machine and has ended."""
        return self.is_here and not is_alive(self.pid, self.started)


_OWNER = TypeAdapter(Owner)
_CELLS = TypeAdapter(dict[Annotated[str, Field(pattern="^[0-9a-f]{16}$")], Annotated[int, Field(ge=0)]])


@dataclass(frozen=True)
class Lease:
    """An attempt at a cell that this process has for itself until `release`; `number` counts the attempts.

    `path` is the lease file of the process, `cell` the folder of the cell. `holder` is whoever has the cell: another
    process during a second attempt, which is lost together with the first.
    """

    key: str
    number: int
    owner: Owner
    path: Path
    cell: Path
    leases: Leases
    holder: Owner

    @property
    def is_second(self) -> bool:
        """Whether another process has the cell."""
        return self.holder != self.owner

    @property
    def attempt(self) -> str:
        """What names the attempt, and its folder."""
        return f"{self.number}-{self.owner.token}"

    @property
    def marker(self) -> Path:
        """The file that says whose attempt this is."""
        return marker_path(self.cell, self.number)

    @property
    def is_taken_over(self) -> bool:
        """Whether another process has begun the next attempt."""
        return os.path.lexists(marker_path(self.cell, self.number + 1))

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the cell over, or somebody has removed the lease."""
        if self.is_taken_over:
            return True
        owners = {self.path: self.owner, self.marker: self.holder}
        try:
            return any(_OWNER.validate_python(read_json(path)) != owner for path, owner in owners.items())
        except ValueError:
            return True
        except OSError as error:
            return error.errno not in _PASSING

    def release(self) -> None:
        """Release the cell; does nothing if the lease was removed or the folder cannot be written to."""
        self.leases.drop(self)


class Leases:
    """The leases of this process on the cells of one folder; call `renew` at least every 20 seconds.

    leases = Leases(folder)
    if (lease := leases.acquire(key)) is not None:
        try: ...
        finally: lease.release()
    """

    def __init__(self, folder: ResultsFolder) -> None:
        self._folder = folder
        self._begin()

    def _begin(self) -> None:
        self._owner, self._numbers = this_process(), dict[str, int]()
        self._path = self._folder.lease_folder.absolute() / f"{self._owner.token}.json"

    def acquire(self, key: str) -> Lease | None:
        """Return the lease of a cell; None while another living process has it.

        A process on this machine is dead as soon as it is (or its id is another process's by now); one elsewhere if it
        has been silent for 60 seconds by the clock of the file system. Read the record again afterwards: the process
        that had the cell may have finished it. Raises RecordError if the folder is full or read-only.
        """
        cell = self._folder.cell_folder(key).absolute()
        with storing_in(self._folder.lease_folder):
            make_way_for_folder(self._folder.lease_folder)
            make_way_for_folder(cell)
            newest = newest_attempt(cell)
            # Older versions have a file for each cell.
            if self._is_held(key, marker_path(cell, newest)) or not _is_abandoned(self._path.with_stem(key), key):
                return None
            return self._take(key, cell, newest + 1)

    def join(self, key: str) -> Lease | None:
        """Return the lease of a second attempt at a cell that a process of another machine has; None if none has it.

        Raises RecordError if the folder is full or read-only.
        """
        cell = self._folder.cell_folder(key).absolute()
        number = newest_attempt(cell)
        holder = _read_owner(marker_path(cell, number))
        if holder is None or holder.is_here:
            return None
        self._name(key, number)
        return Lease(key, number, self._owner, self._path, cell, self, holder)

    def renew(self) -> None:
        """Show other processes for another minute that this one goes on."""
        with suppress(OSError):
            os.utime(self._path)

    def drop(self, lease: Lease) -> None:
        """Name the cell of a lease no longer."""
        if lease.owner != self._owner or self._numbers.get(lease.key) != lease.number:
            return
        others = {key: number for key, number in self._numbers.items() if key != lease.key}
        with suppress(OSError, RecordError):
            if self._path.exists():  # else somebody has removed it, and all leases are lost
                self._write(others)
        self._numbers = others

    def _is_held(self, key: str, marker: Path) -> bool:
        """Return whether the process that has begun an attempt still works on it."""
        try:
            owner = _OWNER.validate_python(read_json(marker))
        except (OSError, ValueError) as error:  # a marker is as old as its attempt, and tells by its age only if empty
            is_passing = isinstance(error, OSError) and error.errno in _OF_A_NETWORK
            return is_passing or not _is_silent(marker, self._path.parent)
        path = self._path.with_stem(owner.token)
        # A file that another machine has just made again may not be seen for a while, as on a network.
        if not owner.is_here and not path.exists():
            return not _is_silent(marker, self._path.parent)
        return not _is_abandoned(path, key)

    def _take(self, key: str, cell: Path, number: int) -> Lease | None:
        """Begin an attempt; None if another process has been faster."""
        # Named first: who finds the attempt while its process does not name the cell takes it for ended.
        self._name(key, number)
        lease = Lease(key, number, self._owner, self._path, cell, self, self._owner)
        try:
            # Halted for a minute before it was written, this process would have lost the empty file to another.
            if _create(lease.marker, self._owner) and not lease.is_lost:
                return lease
        except OSError:
            lease.release()
            raise
        lease.release()
        return None

    def _name(self, key: str, number: int) -> None:
        if self._numbers and not self._path.exists():
            self._begin()  # somebody has removed the file: what it named is lost
        self._write({**self._numbers, key: number})

    def _write(self, numbers: dict[str, int]) -> None:
        if numbers:
            write_atomically(self._path, json.dumps({**asdict(self._owner), "cells": numbers}).encode())
        else:
            self._path.unlink(missing_ok=True)
        self._numbers = numbers


def acquire(folder: ResultsFolder, key: str) -> Lease | None:
    """Return the lease of one cell with a lease file of its own; see `Leases.acquire`."""
    return Leases(folder).acquire(key)


@dataclass(frozen=True)
class LeaseSeen:
    """A lease as others see it: its cell and holder (None: not readable), and whether the holder seems to be gone.

    `attempt` names the folder that is written to; None for a process of an older version, or if it is not readable.
    """

    key: str
    owner: Owner | None
    is_abandoned: bool
    number: int = 0

    @property
    def attempt(self) -> str | None:
        """What names the attempt, and its folder."""
        return f"{self.number}-{self.owner.token}" if self.owner and self.number else None


def see_leases(folder: ResultsFolder, now: float) -> list[LeaseSeen]:
    """Return the leases there are, of each cell the latest last, and change nothing.

    `now` is the time by this machine's clock, since 1970: a process elsewhere, whose clock may be another, counts as
    gone when it has been silent for two minutes.
    """
    found: list[LeaseSeen] = []
    for path in sorted(folder.lease_folder.glob("*.json")):
        owner, cells = _read(path) or (None, {path.stem: 0})
        with suppress(OSError):  # released this moment
            silent = now - path.stat().st_mtime
            gone = owner.is_dead if owner is not None and owner.is_here else silent > 2 * STALE_SECONDS
            found += [LeaseSeen(key, owner, gone, number) for key, number in cells.items()]
    return sorted(found, key=lambda lease: lease.number)


def find_abandoned(folder: ResultsFolder) -> Iterator[tuple[Path, dict[str, int]]]:
    """Yield the lease files of processes that are gone, with the cells that they name and the numbers of attempts."""
    for path in sorted(folder.lease_folder.absolute().glob("*.json")):
        found = _read(path)
        if found is not None and (found[0].is_dead or _is_gone_elsewhere(path, found[0])):
            yield path, found[1]


def refuse_older_runs(folder: ResultsFolder) -> None:
    """Raise RecordError while a run of an older version works here: it takes the records of this one for damaged."""
    for path in sorted(folder.lease_folder.absolute().glob("*.json")):
        found = _read(path)
        if found is not None and 0 in found[1].values() and not _is_abandoned(path, path.stem):
            owner = found[0]
            raise RecordError(
                f"an older segbench works in {folder.path} (process {owner.pid} on {owner.host}), and the two cannot "
                "share it; wait until it has ended, or choose another folder with --results"
            )


def newest_attempt(cell: Path) -> int:
    """Return the number of the newest attempt at a cell, from its folder; 0 if there was none."""
    names: list[str] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        names = os.listdir(cell)
    return max((int(found[1]) for name in names if (found := _MARKER.fullmatch(name))), default=0)


def marker_path(cell: Path, number: int) -> Path:
    """Return the file that says whose attempt a number is, in the folder of a cell."""
    return cell / f".{number}.lease"


def is_marker(path: Path) -> bool:
    """Tell whether a file in the folder of a cell says whose an attempt is."""
    return _MARKER.fullmatch(path.name) is not None


def has_ended(cell: Path, attempt: str) -> bool:
    """Tell whether an attempt is certainly over: its process was one of this machine and is dead."""
    number, _, token = attempt.partition("-")
    owner = _read_owner(marker_path(cell, int(number)))
    return owner is not None and owner.token == token and owner.is_dead


def _create(path: Path, owner: Owner) -> bool:
    """Create the file of an attempt and return True; False if there is one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                json.dump(asdict(owner), file)
                file.flush()
            except OSError:  # a full disk keeps no empty file
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        return False
    return True


def _is_abandoned(path: Path, key: str) -> bool:
    """Return whether the process of a lease file no longer works on a cell."""
    found = _read(path)
    if found is None:
        return _is_silent(path, path.parent)
    owner, cells = found
    return key not in cells or owner.is_dead or _is_gone_elsewhere(path, owner)


def _is_gone_elsewhere(path: Path, owner: Owner) -> bool:
    return not owner.is_here and _is_silent(path, path.parent)


def _is_silent(path: Path, leases: Path) -> bool:
    """Return whether a file has not been touched for a minute by the clock of whoever keeps it, which may not be ours.

    What is no file, such as a link or a pipe, was made by no run.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(found.st_mode):
        return True
    with open_lock(leases / ".lock") as clock:
        os.utime(clock)
        return is_expired(os.fstat(clock).st_mtime, found.st_mtime)


def is_expired(now: float, touched: float) -> bool:
    """Tell whether a lease that was touched at a time lasts no longer, both by the clock of whoever keeps its file."""
    return now - touched > STALE_SECONDS


def _read(path: Path) -> tuple[Owner, dict[str, int]] | None:
    """Return what a lease file says: whose it is, and the numbers of its attempts by cell; None if it is not readable.

    A file of an older version names its cell by its own name; the number is 0.
    """
    try:
        content: Any = read_json(path)
        cells = content["cells"] if isinstance(content, dict) and "cells" in content else {path.stem: 0}
        return _OWNER.validate_python(content), _CELLS.validate_python(cells)
    except (OSError, ValueError):
        return None


def _read_owner(path: Path) -> Owner | None:
    """Return whose an attempt is; None if its file is gone or not written to its end."""
    try:
        return _OWNER.validate_python(read_json(path))
    except (OSError, ValueError):
        return None


def this_process() -> Owner:
    """Return this process as the owner of a lease."""
    pid = os.getpid()
    found = find_process(pid)
    return Owner(socket.gethostname(), machine(), pid, found.started if found else None, secrets.token_hex(8))
