"""Publication of a cell: what its worker has written joins the cell's folder together with the record, or not at all.

A worker writes what belongs to the record (counts, weights, pictures) into a folder that no other process uses. So
the worker of a run that has lost the cell changes nothing that the record of another run goes with.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder, set_aside

from .atomic import storage_error
from .plugin_copies import keep_copies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .folder import ResultsFolder
    from .leases import Lease
    from .record import Record


# What processes that were killed leave in a cell's folder: output folders, and files that `replacing` was writing.
_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{16}(\.tmp)?")


def output_folder(folder: ResultsFolder, key: str, lease: Lease) -> Path:
    """Return the folder that the worker of a leased cell writes to; it need not exist."""
    return folder.cell_folder(key) / f".{lease.owner.token}"


def make_output_folder(folder: ResultsFolder, key: str, lease: Lease) -> Path:
    """Make that folder, and remove what killed processes have left beside it; for the run that holds the lease.

    Raises RecordError if the folder is full or read-only.
    """
    output, cell_folder = output_folder(folder, key, lease), folder.cell_folder(key)
    try:
        make_way_for_folder(cell_folder)
        for path in [path for path in cell_folder.iterdir() if _LEFT_BEHIND.fullmatch(path.name)]:
            _remove(path)
        output.mkdir()
    except OSError as error:
        raise storage_error(cell_folder, error) from error
    return output


def publish(folder: ResultsFolder, lease: Lease, record: Record, components: Iterable[str]) -> bool:
    """Write a cell's record, with the output that an ok record goes with and the plugin files of `components`.

    Returns False, with nothing published, if the lease is lost. Raises RecordError if the folder is full or read-only.
    """
    cell_folder = folder.cell_folder(record.key)
    with lease.held() as held:
        if held:
            if record.status == "ok":
                _move_files(output_folder(folder, record.key, lease), cell_folder)
            keep_copies(components, cell_folder)
            folder.write(record)
    discard_output(folder, record.key, lease)
    return held


def discard_output(folder: ResultsFolder, key: str, lease: Lease) -> None:
    """Remove what the worker of a cell has written and what is not published."""
    _remove(output_folder(folder, key, lease))


def _move_files(source: Path, target: Path) -> None:
    """Move the files of a folder and those below it, each in the place of an older one; what is none is set aside."""
    try:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            moved = target / path.relative_to(source)
            make_way_for_folder(moved.parent)
            if moved.is_dir() and not moved.is_symlink():
                set_aside(moved)
            path.replace(moved)
    except OSError as error:
        raise storage_error(target, error) from error


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
