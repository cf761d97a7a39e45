"""The results folder of one benchmark: a JSON record for each cell, and a folder beside it for its other files."""

from __future__ import annotations

import gc
import os
import re
import reprlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench.checksum import check_seal
from segbench.errors import RecordError, nearest
from segbench.files import set_aside

from .atomic import remove_abandoned, replacing, write_atomically
from .json_file import describe_error, read_json
from .record import ATTEMPT, SCHEMA, Record
from .spec import check_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


# Enough for a record and the counts of a small split, so that a disk with less room is found before training.
PROBE_BYTES = 64 * 1024
EVENTS = "events.jsonl"  # in the folder of a cell: what its worker told while it ran, an event a line
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

    `files_of` tells where in that folder the files of a record are. A record names no place outside it, so records of
    several machines merge by copying. `problems` lists what the reading methods could not use, each file once.

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

    def record_path(self, key: str) -> Path:
        """Return the path of the record of a cell."""
        return self.path / f"{key}.json"

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
        path = self.record_path(key)
        return self._read_or_set_aside(path) if path.is_file() or path.is_dir() else None

    def write(self, record: Record) -> None:
        """Write a record, whole or not at all; one that is not ok never replaces one that is.

        Raises RecordError if the folder is full or read-only.
        """
        before = self.read(record.key)  # which sets aside what is none
        if record.status != "ok" and before is not None and before.status == "ok":
            return
        text = record.model_dump_json(indent=1) + "\n"
        write_atomically(self.record_path(record.key), text.encode())

    def records(self) -> list[Record]:
        """Return all records in the order of their keys; corrupt ones are set aside and listed in `problems`."""
        paths = sorted(path for path in record_files(self.path) if may_be_record(path))
        with without_collecting():
            return [record for path in paths if (record := self._read_or_set_aside(path)) is not None]

    def set_aside_if_damaged(self, record: Record, files: str = "*") -> bool:
        """Set a record aside, so that its cell runs again, if a file beside it has changed since it was written.

        `files` is a pattern of their names. Returns whether one has changed.
        """
        for path in sorted(files_of(self.path, record).glob(files)):
            try:
                check_seal(path)
            except OSError:  # what cannot be read is named when it is needed
                continue
            except ValueError as error:
                place = self.record_path(record.key)
                self.problems.append(RecordProblem(place, f"{path} is damaged: {error}", _set_aside(place)))
                return True
        return False

    def _read_or_set_aside(self, path: Path) -> Record | None:
        try:
            return read_record(path)
        except FileNotFoundError:  # another process set it aside or removed it in between
            return None
        except OSError as error:
            if not path.is_dir():
                raise RecordError(f"cannot read {path}: {error.strerror}") from error
            cause = "it is a folder, not a record"
        except RecordError as error:
            cause = str(error)
        self.problems.append(RecordProblem(path, cause, _set_aside(path)))
        return None


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
    """Return the visible *.json files that lie in a folder itself, in the order of their names.

    A folder that has the name of a record is listed too, so that whoever reads it says so.
    """
    names: list[str] = []
    with suppress(OSError):
        names = sorted(os.listdir(folder))
    paths = [folder / name for name in names if name.endswith(".json") and not name.startswith(".")]
    return [path for path in paths if KEY.fullmatch(path.stem) or path.is_file()]


def may_be_record(path: Path) -> bool:
    """Return whether a JSON file is or was a record; False for others, such as a report beside the records.

    Without the name of a record, what cannot be read as JSON is none: it is somebody's own file.
    """
    if KEY.fullmatch(path.stem):
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
        content = read_json(path)
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
    if record.key != path.stem:
        raise RecordError(f"its key is {reprlib.repr(record.key)}, which is not its file name")
    return record


def _check_classes(record: Record) -> None:
    """Raise RecordError unless as many classes are named as have scores."""
    scores = record.per_class.model_dump(exclude_none=True).values() if record.per_class else ()
    lengths = {len(found) for found in scores}
    if record.evaluated and record.evaluated.classes and lengths:
        lengths.add(len(record.evaluated.classes))
    if len(lengths) > 1:
        raise RecordError(f"its classes and their scores differ in number: {', '.join(map(str, sorted(lengths)))}")


def _set_aside(path: Path) -> Path | None:
    """Rename what is no record so that its cell runs again; return the new path, None where the folder is read-only."""
    try:
        return set_aside(path)
    except OSError:
        return None
