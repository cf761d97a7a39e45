"""Segments: the records of many finished cells and what is read with them, in a few files instead of some a cell.

`segments/` in the folder of a benchmark holds two parquet files a segment. <name>.records.parquet has a row for each
cell: its key, the attempt that its record names, the record and dataset.json, byte by byte, and how many images were
counted. <other name>.counts.parquet has the rows of their counts.parquet, one cell after the other; a column that a
cell lacks is null there. The name of each is the beginning of its own SHA-256, and no file is ever changed.

`manifest.json` names the segments that count, and of each the cells that have been taken out since. It is replaced as
a whole, under the lock of the results folder: before a loose file is removed the manifest names the segment that holds
it, and before it says that a cell was taken out the cell's files are loose again. So a reader who finds neither looks
once more. A cell in a segment counts as it is there, whatever lies loose: it was published first.

compaction.py makes segments; other files of cells, such as weights and pictures, stay where they are.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field

from segbench.checksum import sha256_of_file
from segbench.errors import RecordError

from .atomic import write_atomically
from .json_file import read_model, sealed_json
from .record import ATTEMPT, Part
from .table import RowGroups, to_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    Version = tuple[int, int, int]


SEGMENTS = "segments"
MANIFEST = "manifest.json"
RECORDS, COUNTED = ".records.parquet", ".counts.parquet"
COUNTS, DATASET = "counts.parquet", "dataset.json"  # the files of a cell that go into a segment with its record
# What a file of records says of itself: the name of the file of their counts, and how large these are in memory.
COUNTED_IN, COUNTED_BYTES = "counts", "counts_bytes"
NAME_DIGITS = 16
_HEX = f"[0-9a-f]{{{NAME_DIGITS}}}"  # a name, and a key
_TRIES = 5
_UNKNOWN = {errno.EIO, errno.ESTALE, errno.EACCES}  # causes for which it is not known whether there is a file

Found = TypeVar("Found")
Name = Annotated[str, Field(pattern=f"^{_HEX}$")]


class Manifest(Part):
    """The segments that count, by name, each with the keys of the cells that are no longer in it.

    Those in `dropped` hold no cell any more, and their files are removed.
    """

    version: Literal[1] = 1
    segments: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    dropped: tuple[Name, ...] = ()

    def naming(self, name: str, gone: Collection[str]) -> Manifest:
        """Return the manifest with a segment, and the keys of cells that are not in it."""
        dropped = tuple(other for other in self.dropped if other != name)
        return self.model_copy(update={"segments": {**self.segments, name: tuple(gone)}, "dropped": dropped})


class PackedCell(NamedTuple):
    """What a segment holds of a cell: the record and dataset.json as they were written, and the table of its counts."""

    key: str
    attempt: str | None
    record: bytes
    dataset: bytes | None
    counts: pa.Table | None


class Segment:
    """One segment. Raises FileNotFoundError if a file of it is gone, RecordError if one has changed."""

    def __init__(self, place: Path, name: str) -> None:
        path = place / f"{name}{RECORDS}"
        if fault := _find_fault(path):
            raise _damaged(path, fault)
        self._records = _open(path)
        if self._records.schema.remove_metadata() != records_schema():
            raise _damaged(path, "it has other columns")
        says = {key.decode(): value.decode() for key, value in self._records.schema.metadata.items()}
        index = self._records.read(["key", "attempt", "images"])
        self.keys: list[str] = index["key"].to_pylist()
        self._attempts: list[str | None] = index["attempt"].to_pylist()
        self._images: list[int] = index["images"].to_pylist()
        self._starts = list(accumulate(self._images, initial=0))
        counted = says[COUNTED_IN]
        # Anybody may have written it, and these become parts of paths.
        if not (_are_all(_HEX, [*self.keys, name, counted or name]) and _are_all(ATTEMPT, self._attempts)):
            raise _damaged(path, "it holds what is no key or no attempt")
        self.name, self.counts_bytes = name, int(says[COUNTED_BYTES])
        counts_path = place / f"{counted}{COUNTED}"
        self.files: tuple[Path, ...] = (path, counts_path) if counted else (path,)
        self._counts = _open(counts_path) if counted else None
        self._counts_fault: str | None = None  # not known yet

    def attempt(self, row: int) -> str | None:
        """Return the attempt whose record a cell has, by its row."""
        return self._attempts[row]

    def number_of_images(self, row: int) -> int:
        """Return of how many images a cell has counts."""
        return self._images[row]

    def content(self, row: int, column: Literal["record", "dataset"]) -> bytes | None:
        """Return the record of a cell or the description of its data, by its row."""
        found: bytes | None = self._records.rows(row, 1, [column])[column][0].as_py()
        return found

    def counts(self, row: int, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Return what is there of some columns of a cell's counts, or of all; None if it has none."""
        if self._counts is None or not self._images[row]:
            return None
        self.check_counts()
        found = self._counts.rows(self._starts[row], self._images[row], columns)
        return found.select([name for name in found.column_names if found[name].null_count < len(found)])

    def check_counts(self) -> None:
        """Raise RecordError if the counts have changed since they were written; they are read for it once."""
        if self._counts is None:
            return
        if self._counts_fault is None:
            with suppress(FileNotFoundError):  # compacted anew, and what was opened stays readable
                self._counts_fault = _find_fault(self.files[1])
        if self._counts_fault:
            raise _damaged(self.files[1], self._counts_fault)

    def cell(self, row: int) -> PackedCell:
        """Return all that is there of a cell."""
        record = self.content(row, "record")
        assert record is not None, "every row has a record"
        return PackedCell(self.keys[row], self.attempt(row), record, self.content(row, "dataset"), self.counts(row))


def records_schema() -> pa.Schema:
    """Return the columns of a file of records."""
    import pyarrow as pa

    text, content = pa.string(), pa.binary()
    columns = {"key": text, "attempt": text, "images": pa.int32(), "record": content, "dataset": content}
    return pa.schema([pa.field(name, form, nullable=name in ("attempt", "dataset")) for name, form in columns.items()])


def _are_all(pattern: str, texts: Iterable[str | None]) -> bool:
    return all(text is None or re.fullmatch(pattern, text) for text in texts)


def _find_fault(path: Path) -> str:
    """Say why a file is not the one that was given its name; empty if it is. FileNotFoundError if there is none."""
    try:
        digest = sha256_of_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        return str(error.strerror)
    return "" if digest.startswith(path.name[:NAME_DIGITS]) else "it has changed since it was written"


def _open(path: Path) -> RowGroups:
    import pyarrow as pa

    try:
        return RowGroups(path)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, cause: str) -> RecordError:
    return RecordError(
        f"cannot read {path}, which holds records of finished cells: {cause}; put a copy of it in its place, or move "
        f"the folder {path.parent} away, and all cells that were compacted run again"
    )


class Place(NamedTuple):
    """Where a cell is packed."""

    segment: Segment
    row: int


@dataclass(frozen=True)
class Segments:
    """The segments of a benchmark's folder as a manifest names them, and where each cell is that is in one.

    `cells` is in the order in which they are read fastest.
    """

    version: Version | None
    manifest: Manifest
    opened: Mapping[str, Segment]
    cells: Mapping[str, Place]


NONE = Segments(None, Manifest(), {}, {})
_opened: dict[str, Segments] = {}  # by folder, as long as the manifest stays the same


def open_segments(folder: Path) -> Segments:
    """Return the segments of a benchmark's folder as they are now; RecordError if they cannot be read."""
    place, missing = f"{folder}/{SEGMENTS}", ""
    for _ in range(_TRIES):
        if (version := _version(f"{place}/{MANIFEST}")) is None:
            return NONE
        known = _opened.get(place)
        if known is not None and known.version == version:
            return known
        try:
            _opened[place] = _read(folder / SEGMENTS, version, known or NONE)
        except FileNotFoundError as error:
            missing = str(error)  # compacted anew this moment, or really gone
    raise _damaged(folder / SEGMENTS / MANIFEST, f"it names a file that is not there ({missing})")


def _read(place: Path, version: Version, known: Segments) -> Segments:
    manifest = read_manifest(place)
    opened = {name: known.opened.get(name) or Segment(place, name) for name in sorted(manifest.segments)}
    cells: dict[str, Place] = {}
    for name, segment in opened.items():
        gone = set(manifest.segments[name])
        for row, key in enumerate(segment.keys):
            if key not in gone:
                cells.setdefault(key, Place(segment, row))
    return Segments(version, manifest, opened, cells)


def read_manifest(place: Path) -> Manifest:
    """Return the manifest in a folder of segments, an empty one if there is none; RecordError if it is damaged."""
    path = place / MANIFEST
    return read_model(path, Manifest, "is no manifest of segments", needs_seal=True) if path.exists() else Manifest()


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Replace the manifest, under the lock of the results folder; RecordError if the folder cannot be written to."""
    write_atomically(place / MANIFEST, sealed_json(manifest.model_dump(mode="json")))


def _version(path: str) -> Version | None:
    """Return what changes with a file; None if there is none, RecordError if there may be one."""
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno not in _UNKNOWN or not os.access(os.path.dirname(os.path.dirname(path)), os.X_OK):
            return None
        raise RecordError(f"cannot read {path}: {error.strerror}") from error  # else all its cells would run again
    return found.st_ino, found.st_mtime_ns, found.st_size


def packed_keys(folder: Path) -> Collection[str]:
    """Return the keys of the cells that are in segments, in the order in which they are read fastest."""
    return open_segments(folder).cells.keys()


def is_packed(path: Path) -> bool:
    """Tell whether the record of a path is in a segment."""
    return _find(path) is not None


def packed_record(path: Path) -> bytes | None:
    """Return the content of the record of a path; None if it is in no segment."""
    found = _find(path)
    return None if found is None else found.segment.content(found.row, "record")


def packed_description(path: Path) -> bytes | None:
    """Return the content of the dataset.json of a path; None if it is in no segment."""
    found = _find_files(path.parent)
    return None if found is None else found.segment.content(found.row, "dataset")


def packed_counts(files: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Return some columns of the counts of a cell, or all, by the folder of its files; None if in no segment."""
    found = _find_files(files)
    return None if found is None else found.segment.counts(found.row, columns)


def check_packed_counts(path: Path) -> None:
    """Raise RecordError if the record of a path is packed and the counts of its segment have changed."""
    if (found := _find(path)) is not None:
        found.segment.check_counts()


def has_packed_counts(files: Path) -> bool:
    """Tell whether the counts of a cell are in a segment, by the folder of its files."""
    found = _find_files(files)
    return found is not None and found.segment.number_of_images(found.row) > 0


def read_packed_or_loose(packed: Callable[[], Found | None], loose: Callable[[], Found]) -> Found:
    """Return what is read of a cell from its segment, or else from its loose file; errors are those of either.

    What is compacted between the two looks is found at a third.
    """
    if (found := packed()) is not None:
        return found
    try:
        return loose()
    except FileNotFoundError:
        if (found := packed()) is None:
            raise
        return found


def packed_files(path: Path) -> dict[Path, bytes]:
    """Return the files that would be loose, by their paths, if the record of a path were; none if it is loose."""
    found = _find(path)
    return {} if found is None else dict(_files_of(path.parent, found.segment.cell(found.row)))


def _files_of(folder: Path, cell: PackedCell) -> Iterator[tuple[Path, bytes]]:
    files = folder / cell.key / (cell.attempt or "")
    if cell.counts is not None:
        yield files / COUNTS, to_parquet(cell.counts)
    if cell.dataset is not None:
        yield files / DATASET, cell.dataset
    yield folder / f"{cell.key}.json", cell.record


def unpack(path: Path) -> None:
    """Make the record of a path loose again if it is packed, and what was packed with it; under the lock."""
    for file, content in packed_files(path).items():
        write_atomically(file, content)
    take_out(path.parent, [path.stem])


def take_out(folder: Path, keys: Collection[str]) -> None:
    """Take cells out of their segments, under the lock of the results folder; those that are in none do not matter."""
    found = open_segments(folder)
    taken = [key for key in keys if key in found.cells]
    if taken:
        write_manifest(folder / SEGMENTS, without(found, taken))


def without(segments: Segments, keys: Collection[str]) -> Manifest:
    """Return the manifest after some cells are taken out; a segment that has no others is dropped."""
    named, dropped = {}, list(segments.manifest.dropped)
    for name, segment in segments.opened.items():
        out = {*keys, *segments.manifest.segments[name]}
        gone = tuple(key for key in segment.keys if key in out)
        if len(gone) < len(segment.keys):
            named[name] = gone
        else:
            dropped.append(name)
    return Manifest(segments=named, dropped=tuple(dropped))


def bytes_of_cell(path: Path) -> int:
    """Return the share of a cell in the bytes of its segment; 0 if its record is in none."""
    found = _find(path)
    if found is None:
        return 0
    with suppress(FileNotFoundError):  # compacted anew this moment
        return sum(file.stat().st_size for file in found.segment.files) // len(found.segment.keys)
    return 0


def _find(path: Path) -> Place | None:
    name = path.name
    return open_segments(path.parent).cells.get(name[:-5]) if len(name) == 21 and name.endswith(".json") else None


def _find_files(files: Path) -> Place | None:
    """Find a cell by the folder of its files, which is that of its record or of another attempt."""
    cell, attempt = (files.parent, files.name) if re.fullmatch(ATTEMPT, files.name) else (files, None)
    found = open_segments(cell.parent).cells.get(cell.name)
    return found if found is not None and found.segment.attempt(found.row) == attempt else None
