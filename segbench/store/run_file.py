"""The file that says which cells a run is to work on, for those who watch it and for its workers elsewhere."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from segbench.errors import RecordError

from .atomic import write_atomically
from .json_file import read_json
from .leases import STALE_SECONDS, Owner, this_process
from .record import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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
    """The latest run on a results folder: its cells, its process, and when it ended, in seconds since 1970.

    `specs` are those of one cell of each method on each dataset, by key, and `segbench` is the version that planned
    them: they tell why another plan has other keys. `elsewhere` names what its workers belong to where they outlive its
    process, such as "SLURM job 12".
    """

    cells: tuple[PlannedCell, ...]
    owner: Owner
    began: float
    ended: float | None = None
    specs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    segbench: str | None = None
    elsewhere: str | None = None


def describe_run(
    cells: Sequence[PlannedCell], specs: Mapping[str, dict[str, Any]], elsewhere: str | None = None
) -> RunFile:
    """Return what a run that begins now in this process says of itself."""
    return RunFile(
        cells=tuple(cells),
        owner=this_process(),
        began=time.time(),
        specs=dict(specs),
        segbench=version("segbench"),
        elsewhere=elsewhere,
    )


@contextmanager
def announce_run(
    folder: ResultsFolder, cells: Sequence[PlannedCell], specs: Mapping[str, dict[str, Any]] | None = None
) -> Iterator[None]:
    """Say that this process runs cells while the block lasts; of several runs on a folder the latest is told."""
    found = describe_run(cells, specs or {})
    tell_run(folder, found)
    ended = threading.Event()
    threading.Thread(target=_renew, args=(folder.path.absolute() / RUN_FILE, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if (told := read_run_file(folder)) is not None and told.owner == found.owner:
            tell_run(folder, found.model_copy(update={"ended": time.time()}))


def tell_run(folder: ResultsFolder, content: RunFile) -> None:
    """Say in a results folder what the latest run is; no run fails for this."""
    with suppress(RecordError):
        write_run_file(folder.path / RUN_FILE, content)


def write_run_file(path: Path, content: RunFile) -> None:
    """Write what a run says of itself; RecordError if the folder cannot be written to."""
    write_atomically(path, content.model_dump_json().encode())


def read_run_file(folder: ResultsFolder) -> RunFile | None:
    """Return what the latest run said of itself; None if nothing that can be read."""
    return read_run(folder.path / RUN_FILE)


def read_run(path: Path) -> RunFile | None:
    """Return what a file says of a run; None if nothing that can be read."""
    try:
        return RunFile.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError):
        return None


def is_over(folder: ResultsFolder, run: RunFile, now: float) -> bool:
    """Return whether a run ended, its process is dead, or it is elsewhere and has been silent for two minutes."""
    if run.ended is not None:
        return True
    if run.owner.is_here:
        return run.owner.is_dead
    try:
        return now - (folder.path / RUN_FILE).stat().st_mtime > 2 * STALE_SECONDS
    except OSError:
        return True


def _renew(path: Path, ended: threading.Event) -> None:
    """Show those who watch from elsewhere that this process goes on."""
    while not ended.wait(_RENEW_SECONDS):
        with suppress(OSError):
            os.utime(path)
