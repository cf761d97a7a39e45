"""Files on their way between machines that share no file system."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import RecordError
from segbench.execute.worker import SCRATCH
from segbench.files import read_file
from segbench.store.atomic import storing_in
from segbench.store.folder import files_of, read_bytes, read_record, record_of
from segbench.store.segments import packed_files

if TYPE_CHECKING:
    from collections.abc import Mapping

Parcel = dict[str, bytes]  # files by their relative paths


def pack(folder: Path, beside: Path | None = None) -> Parcel:
    """Return the regular files in a folder and below it, without the temporary ones of a worker.

    Their paths are relative to the folder, or to the one `beside`. A folder that is not there has none.
    """
    found: Parcel = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(f"{SCRATCH}-")]
        for path in (Path(place, name) for name in files):
            if path.is_file() and not path.is_symlink():
                with suppress(FileNotFoundError):  # removed since it was listed
                    found[str(path.relative_to(beside or folder))] = read_file(path)
    return found


def pack_cell(files: Path, place: Path) -> Parcel:
    """Return the record to which the files in a folder belong, and these, relative to the results folder `place`."""
    record = record_of(files)
    try:
        packed = {str(path.relative_to(place)): content for path, content in packed_files(record).items()}
        return {**packed, str(record.relative_to(place)): read_bytes(record), **pack(files, place)}
    except OSError as error:
        raise RecordError(f"{record} cannot be read: {error}") from error


def find_bases(files: Path) -> list[Path]:
    """Return the folder of a cell's files, and those of the cells that its network cannot be built without."""
    key = read_record(record_of(files)).spec.get("upstream", {}).get("refines")
    if key is None:
        return [files]
    place = record_of(files).parent
    return [files, *find_bases(files_of(place, read_record(place / f"{key}.json")))]


def unpack(parcel: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder; RecordError if it is full or read-only."""
    with storing_in(folder):
        for name, content in parcel.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a checkpoint may be a second name of that of an earlier attempt
            path.write_bytes(content)
