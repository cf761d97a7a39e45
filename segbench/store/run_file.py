"""The file that says which cells a run is to work on, for those who watch it; runs themselves never read it."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pydantic import ValidationError

from segbench.errors import RecordError

from .atomic import write_atomically
from .json_file import read_json
from .leases import STALE_SECONDS, Owner, this_process
from .process import is_alive, machine
from .record import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .folder import ResultsFolder

RUN_FILE = ".run"  # not called .json, as what reads all records may look for that
_RENEW_SECONDS = 20.0


class PlannedCell(Part):
    """A cell that a run needs; `budget_seconds` is its budget of training where it is one in seconds."""

    key: str
    dataset: str
    subset: str
    method: str
    seed: int
    budget_seconds: float | None = None


class RunFile(Part):
    """The latest run on a results folder: its cells, its process, and when it ended, in seconds since 1970."""

    cells: tuple[PlannedCell, ...]
    owner: Owner
    began: float
    ended: float | None = None


@contextmanager
def announce_run(folder: ResultsFolder, cells: Sequence[PlannedCell]) -> Iterator[None]:
    """Say that this process runs cells while the block lasts; of several runs on a folder the latest is told."""
    found = RunFile(cells=tuple(cells), owner=this_process(), began=time.time())
    _write(folder, found)
    ended = threading.Event()
    threading.Thread(target=_renew, args=(folder.path.absolute() / RUN_FILE, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if (told := read_run_file(folder)) is not None and told.owner == found.owner:
            _write(folder, found.model_copy(update={"ended": time.time()}))


def read_run_file(folder: ResultsFolder) -> RunFile | None:
    """Return what the latest run said of itself; None if nothing that can be read."""
    try:
        return RunFile.model_validate(read_json(folder.path / RUN_FILE))
    except (OSError, ValueError, ValidationError):
        return None


def is_over(folder: ResultsFolder, run: RunFile, now: float) -> bool:
    """Return whether a run ended, its process is dead, or it is elsewhere and has been silent for two minutes."""
    if run.ended is not None:
        return True
    if run.owner.machine == machine():
        return not is_alive(run.owner.pid, run.owner.started)
    try:
        return now - (folder.path / RUN_FILE).stat().st_mtime > 2 * STALE_SECONDS
    except OSError:
        return True


def _renew(path: Path, ended: threading.Event) -> None:
    """Show those who watch from elsewhere that this process goes on."""
    while not ended.wait(_RENEW_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _write(folder: ResultsFolder, content: RunFile) -> None:
    with suppress(RecordError):  # no run fails for this
        write_atomically(folder.path / RUN_FILE, content.model_dump_json().encode())
