"""Compaction: finished cells go from some files each into segments (segments.py), beside runs and readers.

The files of some cells are read, a segment is written, and then, under the lock of the results folder, the manifest
names it with those of the cells whose record is still what was read, and their files are removed. So a process that is
killed anywhere leaves each cell loose, in a segment, or the same in both, and the next compaction removes what is left.
A lock of its own keeps two compactions apart, and where there are no locks there is no compaction.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError
from segbench.files import make_own_folder, make_way_for_folder, read_file

from .atomic import remove_abandoned, storing_in, write_atomically
from .counts import COUNTS, has_counts, read_whole_table
from .description import DATASET, read_description
from .folder import KEY, RecordProblem, files_of, is_recorded, read_record, to_record
from .json_file import parse_json
from .leases import refuse_older_runs, see_leases
from .lock import lock, open_lock
from .segments import (
    COUNTED,
    COUNTED_BYTES,
    COUNTED_IN,
    NAME_DIGITS,
    RECORDS,
    SEGMENTS,
    PackedCell,
    Segment,
    open_segments,
    packed_record,
    records_schema,
    without,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from .folder import ResultsFolder
    from .segments import Segments

MOST_CELLS = 4096  # of a segment
_MOST_BYTES = 1 << 27  # of the counts of a segment, after which no cell is added
_GROUP_CELLS, _GROUP_BYTES = 256, 1 << 24  # of a row group, the part of a segment that is read at once
_PAGE_BYTES = 1 << 24  # as large as a row group, as records are like one another
_ZSTD_LEVEL = 12


class Compacted(NamedTuple):
    """How many cells are in segments of so many bytes, how many of them were loose, and the finished that stay so."""

    packed: int
    added: int
    size: int
    left: tuple[RecordProblem, ...]


def compact(folder: ResultsFolder) -> Compacted:
    """Put the loose finished cells of a benchmark's folder into segments, with the cells of small segments.

    A cell stays loose whose counts or description of data are not whole. Raises RecordError if the folder cannot be
    written to or has no locks, if a segment is damaged, and while a run of an older version works here.
    """
    place, left = folder.path / SEGMENTS, list[RecordProblem]()
    refuse_older_runs(folder)
    with _alone(folder):
        with folder.locked():
            _clear(folder)
        before = set(open_segments(folder.path).cells)
        for cells in _divide(_read_cells(folder, _find_cells(folder, left), left)):
            _publish(folder, _write_segment(place, cells), cells)
        with folder.locked():
            _clear(folder)
        now = set(open_segments(folder.path).cells)
        size = sum(file.stat().st_size for file in place.iterdir())
    return Compacted(len(now), len(now - before), size, tuple(left))


@contextmanager
def _alone(folder: ResultsFolder) -> Iterator[None]:
    """Wait until no other compaction is at work, and keep others waiting while the block runs."""
    place = folder.path / SEGMENTS
    with storing_in(place):
        make_own_folder(place)
        make_way_for_folder(folder.lease_folder)
    with open_lock(folder.lease_folder / ".compaction") as descriptor:
        try:
            lock(descriptor)
        except OSError as error:
            raise RecordError(
                f"{folder.path} is on a file system without locks ({error.strerror}), where other processes could "
                "change records meanwhile; compact a copy elsewhere"
            ) from error
        remove_abandoned(place)
        yield


def _find_cells(folder: ResultsFolder, left: list[RecordProblem]) -> list[str]:
    """Return the keys of the cells to be packed, in the order of their records in rankings."""
    segments = open_segments(folder.path)
    loose = {path.stem: path for path in sorted(folder.path.glob("*.json")) if KEY.fullmatch(path.stem)}
    left += [
        RecordProblem(path, "a segment holds another record of its cell, which was first and counts")
        for key, path in loose.items()
        if key in segments.cells
    ]
    paths = [path for key, path in loose.items() if key not in segments.cells]
    found = [order for path in paths if (order := _read_order(path)) is not None]
    small = [key for key, place in segments.cells.items() if _is_small(place.segment, segments)]
    if found or len({id(segments.cells[key].segment) for key in small}) > 1:
        found += [order for key in small if (order := _read_order(folder.record_path(key))) is not None]
    return [order.key for order in sorted(found)]


def _is_small(segment: Segment, segments: Segments) -> bool:
    gone = len(segments.manifest.segments[segment.name])
    return 2 * (len(segment.keys) - gone) < MOST_CELLS and 2 * segment.counts_bytes < _MOST_BYTES


class _Order(NamedTuple):
    """What the cells of a segment are sorted by."""

    dataset: str
    subset: str
    method: str
    seed: int
    key: str


def _read_order(path: Path) -> _Order | None:
    """Return the place of a finished record; None for what is none, or a link."""
    with suppress(OSError, RecordError):
        one = read_record(path)
        is_finished = one.status == "ok" and not path.is_symlink()
        return _Order(one.dataset, one.subset, one.method, one.seed, one.key) if is_finished else None
    return None


def _read_cells(folder: ResultsFolder, keys: Sequence[str], left: list[RecordProblem]) -> Iterator[PackedCell]:
    """Read cells, loose or packed; those that cannot be used as they are join `left`."""
    for key in keys:
        path = folder.record_path(key)
        try:
            packed = open_segments(folder.path).cells.get(key)
            yield packed.segment.cell(packed.row) if packed else _read_loose(path)
        except FileNotFoundError:  # removed or set aside meanwhile
            continue
        except (OSError, ValueError, RecordError) as error:
            left.append(RecordProblem(path, f"stays a file of its own: {error}"))


def _read_loose(path: Path) -> PackedCell:
    content = read_file(path)
    record = to_record(parse_json(content), path)
    files = files_of(path.parent, record)
    if files.is_symlink() or files.parent.is_symlink():
        raise RecordError(f"{files} is a link")
    counts = read_whole_table(files) if has_counts(files) else None
    described = (files / DATASET).exists() and read_description(files / DATASET)
    return PackedCell(record.key, record.attempt, content, read_file(files / DATASET) if described else None, counts)


def _divide(cells: Iterator[PackedCell]) -> Iterator[list[PackedCell]]:
    """Divide cells into those of each segment."""
    chunk, size = list[PackedCell](), 0
    for cell in cells:
        chunk.append(cell)
        size += _counts_bytes(cell)
        if len(chunk) == MOST_CELLS or size > _MOST_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _counts_bytes(cell: PackedCell) -> int:
    return 0 if cell.counts is None else int(cell.counts.nbytes)


def _write_segment(place: Path, cells: Sequence[PackedCell]) -> str:
    """Write the files of a segment and return its name."""
    import pyarrow as pa

    ends = _group_ends(cells)
    counted = [cell.counts for cell in cells if cell.counts is not None]
    says = {COUNTED_BYTES: str(sum(map(_counts_bytes, cells))), COUNTED_IN: ""}
    if counted:
        numbers = list(accumulate((0 if cell.counts is None else len(cell.counts) for cell in cells), initial=0))
        # without the seals of single files
        table = pa.concat_tables(counted, promote_options="default").replace_schema_metadata(None)
        says[COUNTED_IN] = _write_named(place, COUNTED, table, [numbers[end] for end in ends])
    rows = [{**cell._asdict(), "images": 0 if cell.counts is None else len(cell.counts)} for cell in cells]
    return _write_named(place, RECORDS, pa.Table.from_pylist(rows, records_schema().with_metadata(says)), ends)


def _group_ends(cells: Sequence[PackedCell]) -> list[int]:
    """Return where row groups end, as numbers of cells."""
    ends: list[int] = []
    start = size = 0
    for end, cell in enumerate(cells, 1):
        size += _counts_bytes(cell)
        if end - start == _GROUP_CELLS or size > _GROUP_BYTES or end == len(cells):
            ends.append(end)
            start, size = end, 0
    return ends


def _write_named(place: Path, ending: str, table: pa.Table, ends: Sequence[int]) -> str:
    """Write a table, with row groups that end at some rows, into a file named by its content; return the name."""
    from pyarrow import parquet

    file, names = BytesIO(), [name for name in table.column_names if name in ("split", "image", "clusters", "dataset")]
    options: dict[str, Any] = {"compression": "zstd", "compression_level": _ZSTD_LEVEL, "data_page_size": _PAGE_BYTES}
    with parquet.ParquetWriter(file, table.schema, use_dictionary=names, write_statistics=False, **options) as writer:
        for start, end in zip([0, *ends], ends, strict=False):
            if end > start:
                writer.write_table(table.slice(start, end - start), row_group_size=end - start)
    content = file.getvalue()
    name = hashlib.sha256(content).hexdigest()[:NAME_DIGITS]
    write_atomically(place / f"{name}{ending}", content)
    return name


def _publish(folder: ResultsFolder, name: str, cells: Sequence[PackedCell]) -> None:
    """Name a segment in the manifest, with the cells that are still as they were read, and remove their files.

    RecordError, with nothing changed, if the segment is not on the disk as it was written.
    """
    place = folder.path / SEGMENTS
    with folder.locked():
        try:
            Segment(place, name).check_counts()
        except FileNotFoundError as error:  # by a compaction elsewhere, where locks are those of one machine
            raise RecordError(
                f"a new file in {place} was removed by others; compact on one machine at a time"
            ) from error
        segments = open_segments(folder.path)
        changed = {cell.key for cell in cells if not _is_as_read(folder, segments, cell)}
        taken = [cell for cell in cells if cell.key not in changed]
        if taken:
            manifest = without(segments, [cell.key for cell in taken])
            write_manifest(place, manifest.naming(name, sorted(changed)))
            _remove_loose(folder, [cell for cell in taken if cell.key not in segments.cells])


def _is_as_read(folder: ResultsFolder, segments: Segments, cell: PackedCell) -> bool:
    if (packed := segments.cells.get(cell.key)) is not None:
        return packed.segment.content(packed.row, "record") == cell.record
    with suppress(OSError):
        return read_file(folder.record_path(cell.key)) == cell.record
    return False


def _remove_loose(folder: ResultsFolder, cells: Sequence[PackedCell]) -> None:
    """Remove the files of cells that are in a segment now, the record last, and folders that are empty without them.

    While runs are at work the folder of a cell stays: one may be about to begin an attempt in it.
    """
    is_quiet = all(lease.is_abandoned for lease in see_leases(folder, time.time()))
    for cell in cells:
        own = folder.cell_folder(cell.key)
        files = own / (cell.attempt or "")
        for path, is_packed in ((files / COUNTS, cell.counts), (files / DATASET, cell.dataset)):
            if is_packed is not None:
                _remove(path)
        _remove(folder.record_path(cell.key))
        with suppress(OSError):
            if files != own:
                files.rmdir()
            if is_quiet:
                own.rmdir()


def _remove(path: Path) -> None:
    with suppress(OSError):  # it is gone, or the next compaction removes it
        path.unlink()


def _clear(folder: ResultsFolder) -> None:
    """Remove what compactions that were killed have left, under the lock of the results folder."""
    place = folder.path / SEGMENTS
    for path in sorted(place.glob(f"*{RECORDS}")):
        if path not in _files(folder) and not _take_up(folder, path):
            _remove(path)
    for path in sorted(place.glob(f"*{COUNTED}")):
        if path not in _files(folder):
            _remove(path)
    manifest = open_segments(folder.path).manifest
    if left := [name for name in manifest.dropped if not (place / f"{name}{RECORDS}").exists()]:
        dropped = tuple(name for name in manifest.dropped if name not in left)
        write_manifest(place, manifest.model_copy(update={"dropped": dropped}))
    _clear_loose(folder)


def _files(folder: ResultsFolder) -> set[Path]:
    """Return the files of the segments that count."""
    return {file for segment in open_segments(folder.path).opened.values() for file in segment.files}


def _take_up(folder: ResultsFolder, path: Path) -> bool:
    """Name a segment that the manifest does not name if it holds a cell that is nowhere else; False if it does not.

    Such a one is there where another results folder was copied over this one, with its manifest.
    """
    manifest, name = open_segments(folder.path).manifest, path.name.removesuffix(RECORDS)
    if name in manifest.dropped:
        return False
    try:
        segment = Segment(path.parent, name)
    except (OSError, RecordError):  # nobody knows what it holds
        return True
    known = tuple(key for key in segment.keys if is_recorded(folder.record_path(key)))
    if len(known) == len(segment.keys):
        return False
    write_manifest(path.parent, manifest.naming(name, known))
    return True


def _clear_loose(folder: ResultsFolder) -> None:
    """Remove the files of cells that are the same in a segment."""
    cells = open_segments(folder.path).cells
    there = [key for name in os.listdir(folder.path) if (key := name.removesuffix(".json")) in cells and key != name]
    same = []
    for key in there:
        path = folder.record_path(key)
        with suppress(OSError):
            if read_file(path) == packed_record(path):
                same.append(cells[key].segment.cell(cells[key].row))
    _remove_loose(folder, same)
