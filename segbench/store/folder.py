"""The results folder of one benchmark: a JSON record for each cell, and a folder beside it for its other files."""

from __future__ import annotations

import gc
import os
import re
import reprlib
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from segbench.checksum import check_seal
from segbench.errors import RecordError, nearest
from segbench.files import make_way_for_folder, set_aside

from .atomic import link_or_copy, remove_abandoned, replacing, storing_in, write_atomically
from .json_file import describe_error, parse_json, read_json, read_within
from .lock import lock, open_lock
from .record import ATTEMPT, SCHEMA, Record
from .segments import SEGMENTS, check_packed_counts, is_packed, packed_keys, packed_record, read_packed_or_loose, unpack
from .spec import check_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path


# Enough for a record and the counts of a small split, so that a disk with less room is found before training.
PROBE_BYTES = 64 * 1024
EVENTS = "events.jsonl"  # of an attempt: what its worker told while it ran, an event a line
CHECKPOINT = "checkpoint.safetensors"
UNFINISHED = ".unfinished.json"  # ends the name of a record that is not ok
LEASES = "claims"  # the folder of leases, in each benchmark's, called as in older versions
KEY = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class RecordProblem:
    """A file in a results folder that is no readable record: its path, the cause, its new path if it was renamed."""

    path: Path
    cause: str
    moved_to: Path | None = None

    def __str__(self) -> str:
        if self.moved_to is None:
            return f"{self.path}: {self.cause}"
        return f"{self.path}: {self.cause}; set aside as {self.moved_to.name}, its cell will run again"


class ResultsFolder:
    """The records of one benchmark: `root`/`benchmark`/<key>.json, and a folder <key>/ beside each.

    A cell that failed, was skipped or interrupted has <key>.unfinished.json, so that its record can be replaced while
    that of a finished cell never is; older versions called it <key>.json as well.
    `files_of` tells where in that folder the files of a record are. A record names no place outside it, so loose
    records of several machines merge by copying; finished ones may be in segments (segments.py), and are read the same.
    `problems` lists what the reading methods could not use, each file once.

        folder = ResultsFolder(Path("results"), "camvid")
        folder.check_writable()
        if folder.read(cell.key) is None:
            folder.write(record)
    """

    def __init__(self, root: Path, benchmark: str) -> None:
        self.root = root
        self.benchmark = benchmark
        self.path = root / benchmark
        self.problems: list[RecordProblem] = []
        self._is_locked = False

    def record_path(self, key: str) -> Path:
        """Return the path of the record of a finished cell."""
        return self.path / f"{key}.json"

    def unfinished_path(self, key: str) -> Path:
        """Return the path of the record of a cell that failed, was skipped or interrupted."""
        return self.path / f"{key}{UNFINISHED}"

    def existing_path(self, key: str) -> Path:
        """Return the path of the record that a cell has; that of a finished one if there is none."""
        path, unfinished = self.record_path(key), self.unfinished_path(key)
        return unfinished if not is_recorded(path) and unfinished.is_file() else path

    def cell_folder(self, key: str) -> Path:
        """Return the folder in which the attempts at a cell lie; it need not exist."""
        return self.path / key

    @property
    def lease_folder(self) -> Path:
        """The folder of the leases of running processes."""
        return self.path / LEASES

    def describe_loss(self) -> str | None:
        """Say what has happened to the folder, where records cannot be written to it any more; None if they can."""
        if not self.path.is_dir():
            what = "is no folder any more" if self.path.exists() else "was removed"
            return f"the results folder {self.path} {what} while this run goes on; what was recorded there is gone"
        if not os.access(self.path, os.W_OK | os.X_OK):
            return (
                f"the results folder {self.path} cannot be written to any more; make it writable before a cell ends, "
                "or the run ends with it"
            )
        return None

    def check_writable(self) -> None:
        """Raise RecordError now if the folder is full, read-only or no folder, and not after hours of training.

        Removes what killed processes were writing in it.
        """
        for folder in (self.path, self.lease_folder):
            remove_abandoned(folder)
        with replacing(self.path / ".writable") as file:
            file.write(bytes(PROBE_BYTES))
        (self.path / ".writable").unlink(missing_ok=True)

    def read(self, key: str) -> Record | None:
        """Return the record of a cell; None if there is none or it is corrupt, and then it is set aside.

        Raises RecordError if it cannot be read.
        """
        found = self._read_or_set_aside(self.record_path(key))
        if found is not None and found.status == "ok":
            return found
        return self._read_or_set_aside(self.unfinished_path(key)) or found

    def read_finished(self, key: str) -> Record | None:
        """Return the record of a finished cell, as `read` does; None if the cell has another or none."""
        found = self.read(key)
        return found if found is not None and found.status == "ok" else None

    def read_all_finished(self, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records of those cells that are finished, by key and in the order of the keys."""
        listed = self.listed_keys()
        there = [key for key in keys if key in listed]
        with without_collecting():
            found = {key: self.read_finished(key) for key in self.in_reading_order(there)}
        return {key: record for key in there if (record := found[key]) is not None}

    def make_room(self, key: str) -> None:
        """Move what is no record of a finished cell out of its place; see publication.py."""
        path = self.record_path(key)
        self._read_or_set_aside(path)
        with self.locked():
            found = _inspect(path)
            if isinstance(found, Record) and found.status != "ok":  # by an older version
                _move_unless_finished(path, lambda: path.replace(self.unfinished_path(key)))
            elif found is None and os.path.lexists(path):  # a link to nowhere, or a pipe
                set_aside(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else move or complete a record while the block runs, where the file system has locks.

        Raises RecordError if the folder is read-only.
        """
        if self._is_locked:
            yield
            return
        with storing_in(self.lease_folder):
            make_way_for_folder(self.lease_folder)
        with open_lock(self.lease_folder / ".lock") as descriptor:
            with suppress(OSError):  # there are no locks
                lock(descriptor)
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    def write(self, record: Record) -> None:
        """Write a record, whole or not at all; one that is not ok never replaces one that is.

        Raises RecordError if the folder is full or read-only.
        """
        before = self.read(record.key)  # which sets aside what is none
        if record.status != "ok" and before is not None and before.status == "ok":
            return
        text, path = record.model_dump_json(indent=1) + "\n", self.record_path(record.key)
        # Else a compaction that has read what was there before would remove it.
        with self.locked() if (self.path / SEGMENTS).is_dir() else nullcontext():
            unpack(path)
            write_atomically(path, text.encode())

    def records(self) -> list[Record]:
        """Return all records in the order of their keys; corrupt ones are set aside and listed in `problems`."""
        paths = [path for path in record_files(self.path) if may_be_record(path)]
        with without_collecting():
            found = [record for path in paths if (record := self._read_or_set_aside(path)) is not None]
        return sorted(found, key=lambda record: record.key)

    def listed_keys(self) -> set[str]:
        """Return the keys of the cells that have a record of any status, by their names alone."""
        return set(map(key_in, record_files(self.path)))

    def in_reading_order(self, keys: Iterable[str]) -> list[str]:
        """Return keys of cells, each once, in the order in which their records are read fastest."""
        wanted = dict.fromkeys(keys)
        packed = [key for key in packed_keys(self.path) if key in wanted]
        return list(dict.fromkeys([*packed, *wanted]))

    def set_aside_if_damaged(self, record: Record, files: str = "*") -> bool:
        """Set a record aside, so that its cell runs again, if a file beside it has changed since it was written.

        `files` is a pattern of their names. Returns whether one has changed. Raises RecordError if the counts in a
        segment have, as many cells would run again.
        """
        check_packed_counts(self.record_path(record.key))
        for path in sorted(files_of(self.path, record).glob(files)):
            try:
                check_seal(path)
            except OSError:  # what cannot be read is named when it is needed
                continue
            except ValueError as error:
                self._set_aside(self.record_path(record.key), f"{path} is damaged: {error}", record.attempt)
                return True
        return False

    def _read_or_set_aside(self, path: Path) -> Record | None:
        found = _inspect(path)
        if isinstance(found, str):
            self._set_aside(path, found)
            return None
        return found

    def _set_aside(self, path: Path, cause: str, attempt: str | None = "") -> None:
        """Rename what is no record, or that of an attempt, so that its cell runs again; not in a read-only folder."""
        moved = None
        with suppress(OSError, RecordError), self.locked():
            found = _inspect(path)  # once more: another process may have made room for a record meanwhile
            if isinstance(found, str):
                moved = _move_unless_finished(path, lambda: set_aside(path))
            elif found is not None and found.attempt == attempt:
                unpack(path)
                moved = set_aside(path)
        self.problems.append(RecordProblem(path, cause, moved))


def _inspect(path: Path) -> Record | str | None:
    """Return the record that is a file, why it is none, or None if there is no file; RecordError if unreadable."""
    if not is_recorded(path) and not path.is_dir():
        return None
    try:
        return read_record(path)
    except FileNotFoundError:  # another process set it aside or removed it in between
        return None
    except OSError as error:
        if not path.is_dir():
            raise RecordError(f"cannot read {path}: {error.strerror}") from error
        return "it is a folder, not a record"
    except RecordError as error:
        return str(error)


def _move_unless_finished(path: Path, move: Callable[[], Path]) -> Path | None:
    """Move what was just found to be no record of a finished cell, and return where it is.

    Only where there are no locks may a finished one have taken its place at this moment: that is put back.
    """
    moved = move()
    with suppress(OSError, RecordError):
        if to_record(read_content(moved), path).status == "ok" and link_or_copy(moved, path):
            moved.unlink()
            return None
    return moved


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let the collector of reference cycles rest while many records are read: its searches would take twice as long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what was read is needed to the end, so later searches may leave it out as well
        if enabled:
            gc.enable()


def check_results(path: Path) -> None:
    """Raise RecordError if a results folder is missing; it tells of a file there, or a folder of nearly that name."""
    if path.is_dir():
        return
    if path.exists():
        raise RecordError(f"{path} is a file; name the results folder that it lies in")
    beside: list[str] = []
    with suppress(OSError):
        beside = [one.name for one in path.parent.iterdir() if one.is_dir()]
    hint = nearest(path.name, beside)
    raise RecordError(
        f"no results folder at {path}; run a benchmark first (`segbench run quickstart`), "
        f"or name the folder that `segbench run --results` wrote to{hint and f'.{hint}'}"
    )


def files_of(place: Path, record: Record) -> Path:
    """Return the folder of what belongs to a record that lies in `place`, such as its counts; it need not exist."""
    return place / record.key / (record.attempt or "")


def record_of(files: Path) -> Path:
    """Return the path of the record to which the files in a folder belong."""
    cell = files.parent if re.fullmatch(ATTEMPT, files.name) else files
    return cell.with_name(f"{cell.name}.json")


def how_to_redo(files: Path) -> str:
    """Say how a finished cell is run again, for a message about one of its files, which lie in the folder `files`."""
    return f"move {record_of(files)} away and run its benchmark again: the cell is then run anew"


def record_files(folder: Path) -> list[Path]:
    """Return the visible *.json files that lie in a folder itself, in the order of their names; one of each cell.

    Those of cells in segments come last, in the order in which they are read fastest, though there is no file. A folder
    that has the name of a record is listed too, so that whoever reads it says so.
    """
    names: list[str] = []
    with suppress(OSError):
        names = [name for name in sorted(os.listdir(folder)) if name.endswith(".json") and not name.startswith(".")]
    packed = {f"{key}.json": None for key in packed_keys(folder)}
    there = packed.keys() | set(names)
    paths = [folder / name for name in names if name not in packed and not is_superseded(name, there)]
    loose = [path for path in paths if KEY.fullmatch(key_in(path)) or path.is_file()]
    return [*loose, *(folder / name for name in packed)]


def is_recorded(path: Path) -> bool:
    """Tell whether there is a record at a path, as a file or in a segment."""
    return is_packed(path) or path.is_file() or is_packed(path)


def read_bytes(path: Path) -> bytes:
    """Return the content of a record, from its file or a segment; OSError if it cannot be read, ValueError if large."""
    return read_packed_or_loose(partial(packed_record, path), partial(read_within, path))


def is_superseded(name: str, names: Collection[str]) -> bool:
    """Tell whether a file is the record of a cell from before it was finished."""
    return name.endswith(UNFINISHED) and f"{name.removesuffix(UNFINISHED)}.json" in names


def key_in(path: Path) -> str:
    """Return the key in the name of the file of a record."""
    return path.name.removesuffix(UNFINISHED).removesuffix(".json")


def may_be_record(path: Path) -> bool:
    """Return whether a JSON file is or was a record; False for others, such as a report beside the records.

    Without the name of a record, what cannot be read as JSON is none: it is somebody's own file.
    """
    if KEY.fullmatch(key_in(path)):
        return True
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and bool(content.keys() & {"key", "status"})


def read_record(path: Path) -> Record:
    """Read one record without changing anything.

    Raises RecordError with the cause if the file is not JSON, not a record of a schema known here, or holds another
    key than its name; OSError if it cannot be read at all.
    """
    return to_record(read_content(path), path)


def read_content(path: Path) -> dict[str, Any]:
    """Read what the file of a record holds, of which nothing but the schema is checked; errors as `read_record`."""
    try:
        content = parse_json(read_bytes(path))
    except ValueError as error:
        raise RecordError(f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise RecordError(f"it holds a {type(content).__name__}, not an object")
    if content.get("schema") != SCHEMA:
        raise RecordError(f"its schema is {reprlib.repr(content.get('schema'))}; this segbench reads {SCHEMA}")
    return content


def to_record(content: Mapping[str, Any], path: Path) -> Record:
    """Return the record that a file holds; RecordError if it is none."""
    from pydantic import ValidationError

    try:
        record = Record.model_validate(content)
        check_parts(record.spec, record.environment)
    except ValidationError as error:
        raise RecordError(f"it is not a record: {describe_error(error)}") from error
    _check_classes(record)
    if record.status == "ok" and path.name.endswith(UNFINISHED):
        raise RecordError(f"it is of a finished cell, whose record is called {record.key}.json")
    if record.key != key_in(path):
        raise RecordError(f"its key is {reprlib.repr(record.key)}, which is not its file name")
    return record


def _check_classes(record: Record) -> None:
    """Raise RecordError unless as many classes are named as have scores."""
    lengths = {len(found) for _, found in record.per_class or () if found is not None}
    if record.evaluated and record.evaluated.classes and lengths:
        lengths.add(len(record.evaluated.classes))
    if len(lengths) > 1:
        raise RecordError(f"its classes and their scores differ in number: {', '.join(map(str, sorted(lengths)))}")
