"""Records from one or several folders, read without changing anything there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from segbench.errors import RecordError, alternatives
from segbench.stats.health import judge_again
from segbench.store.counts import join_counts, read_confusions, read_counts
from segbench.store.folder import (
    LEASES,
    RecordProblem,
    check_results,
    files_of,
    may_be_record,
    read_content,
    read_record,
    record_files,
    to_record,
    without_collecting,
)
from segbench.store.run_file import RUN_FILE

from . import cell_spec
from .conditions import read_conditions
from .folds import folds_of
from .numbers import join_with_and

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from segbench.store.counts import Counts
    from segbench.store.record import Record

    from .conditions import Conditions

    Choice = Callable[[Mapping[str, Any]], bool]
    Identity = tuple[str, Conditions]


class IncompleteSeed(NamedTuple):
    """A cross-validated seed that is not ranked: one of its records, the test folds that it lacks, and of how many."""

    record: Record
    missing: tuple[int, ...]
    folds: int

    def __str__(self) -> str:
        record, subset = self.record, cell_spec.pooled_subset(self.record)
        parts = [record.benchmark, record.dataset, *([] if subset == "all" else [subset]), record.method]
        folds, are = ("test fold", "is") if len(self.missing) == 1 else ("test folds", "are")
        which = f"{folds} {join_with_and(list(map(str, self.missing)))} of {self.folds} {are} missing"
        return f"{' / '.join(parts)}, seed {record.seed}: {which}, so it is not ranked"


@dataclass(frozen=True)
class Sources:
    """The records of a report, the folders they lie in, and the files that could not be read.

    `cell_folders` maps the identity of each ok record to the folder of what belongs to it, its counts among that.
    `incomplete` are the seeds that were not pooled over their test folds, as some are missing.
    """

    records: tuple[Record, ...]
    folders: tuple[Path, ...]
    problems: tuple[RecordProblem, ...]
    cell_folders: Mapping[Identity, Path] = field(default_factory=dict)
    incomplete: tuple[IncompleteSeed, ...] = ()

    @property
    def ranked(self) -> tuple[Record, ...]:
        """The finished records that belong into a ranking."""
        return tuple(record for record in self.finished if not cell_spec.is_auxiliary(record))

    @property
    def auxiliary(self) -> tuple[Record, ...]:
        """The finished records of cells that only serve others."""
        return tuple(record for record in self.finished if cell_spec.is_auxiliary(record))

    @property
    def without_result(self) -> tuple[Record, ...]:
        """The records of cells that failed, timed out or were skipped."""
        return tuple(record for record in self.records if record.status != "ok")

    @property
    def finished(self) -> list[Record]:
        """The records of cells that have a result."""
        return [record for record in self.records if record.status == "ok"]

    def counts(self, record: Record) -> Counts:
        """Read the counts of an ok record; RecordError if they are missing, damaged or do not add up."""
        return join_counts([read_counts(folder) for folder in self.folders_of(record)])

    def confusions(self, records: Iterable[Record]) -> Iterator[Counts | RecordError]:
        """Read of the counts of ok records only what rankings by IoU need; the errors are those of `counts`."""
        folders = [self.folders_of(record) for record in records]
        found = read_confusions([folder for of_record in folders for folder in of_record])
        return (_join([next(found) for _ in of_record]) for of_record in folders)

    def folders_of(self, record: Record) -> list[Path]:
        """Return the folder of an ok record; of a pooled one that of each of its test folds."""
        return [self.cell_folders[identity(one)] for one in folds_of(record)]


class NothingRecordedError(RecordError):
    """A run has begun, or files are there, but no record that can be read; `sources` holds what there is."""

    def __init__(self, message: str, sources: Sources) -> None:
        super().__init__(message)
        self.sources = sources


def read_sources(
    directories: Sequence[Path], benchmark: str | None = None, is_wanted: Choice = lambda content: True
) -> Sources:
    """Read and merge the records of results folders, or of single benchmarks' folders, in the order given.

    Only those are kept whose content, not checked yet, `is_wanted`. Their health is judged by today's rules.
    Raises RecordError if a directory is missing, if there are no records, or none of the named benchmark:
    NothingRecordedError where a run has begun, or records cannot be read.
    """
    found, problems = read_records(directories, benchmark, is_wanted)
    used = dict.fromkeys(folder for folder, _ in found)
    kept = merge(found)
    folders_of = {identity(record): files_of(folder, record) for folder, record in kept if record.status == "ok"}
    return Sources(tuple(record for _, record in kept), tuple(used), tuple(problems), folders_of)


def read_records(
    directories: Sequence[Path], benchmark: str | None = None, is_wanted: Choice = lambda content: True
) -> tuple[list[tuple[Path, Record]], list[RecordProblem]]:
    """Return all records of results folders, each with the folder it lies in, and the files that cannot be read.

    Arguments and errors are those of `read_sources`.
    """
    problems: list[RecordProblem] = []
    with without_collecting():
        found = [
            (folder, record)
            for folder in find_benchmark_folders(directories)
            for record in _read_folder(folder, is_wanted, problems)
        ]
    if not found:
        raise _nothing_found(directories, problems)
    if benchmark is not None:
        _check_is_there(benchmark, [record for _, record in found], directories)
    return [(folder, record) for folder, record in found if benchmark in (None, record.benchmark)], problems


def count_records(directories: Sequence[Path]) -> int:
    """Return how many files in results folders may be records; RecordError if a directory is missing."""
    return sum(len(record_files(folder)) for folder in find_benchmark_folders(directories))


def find_benchmark_folders(directories: Iterable[Path]) -> list[Path]:
    """Return the folders in results folders that hold records, each once; RecordError if a directory is missing."""
    return list(dict.fromkeys(folder for directory in directories for folder in _benchmark_folders(directory)))


def merge(found: Sequence[tuple[Path, Record]]) -> list[tuple[Path, Record]]:
    """Keep one record of each cell: ok wins over anything else, then the timed one, then the one given first.

    A cell that ran under several conditions has an ok record for each: one of them counts in the ranking, and its speed
    is known under all.
    """
    best: dict[object, tuple[Path, Record]] = {}
    for folder, record in sorted(found, key=_preference):
        best.setdefault(identity(record) if record.status == "ok" else record.key, (folder, record))
    finished = {record.key for _, record in best.values() if record.status == "ok"}
    kept = [one for one in best.values() if one[1].status == "ok" or one[1].key not in finished]
    return sorted(kept, key=lambda found: in_order(found[1]))


def _join(parts: Sequence[Counts | RecordError]) -> Counts | RecordError:
    found = [part for part in parts if not isinstance(part, RecordError)]
    return join_counts(found) if len(found) == len(parts) else next(one for one in parts if one not in found)


def identity(record: Record) -> Identity:
    """Return what identifies a record: one cell has an ok record for each kind of device it ran on."""
    return record.key, read_conditions(record)


def describe_cause(record: Record) -> str:
    """Return in one line why a cell has no result, with the plugin that failed if one did."""
    if record.error is None:
        return "no cause recorded"
    plugin = f" (plugin {record.error.plugin})" if record.error.plugin else ""
    return " ".join(record.error.cause.split()) + plugin


def in_order(record: Record) -> tuple[object, ...]:
    """Return what records are sorted by."""
    return record.benchmark, record.dataset, record.method, record.seed, record.key


def _preference(found: tuple[Path, Record]) -> tuple[bool, bool]:
    return found[1].status != "ok", not found[1].inference


def _benchmark_folders(directory: Path) -> list[Path]:
    """Return the folder itself if it holds records, else those of its subfolders that do."""
    check_results(directory)
    if _holds_records(directory):
        return [directory]
    subfolders = sorted(path for path in directory.iterdir() if path.is_dir())
    return [folder for folder in subfolders if _holds_records(folder)]


def _holds_records(folder: Path) -> bool:
    """Return whether there is a record, or what was one; leases are none, though they have the same names."""
    is_one = _is_record if folder.name == LEASES else may_be_record
    return any(map(is_one, record_files(folder)))


def _is_record(path: Path) -> bool:
    try:
        read_record(path)
    except (OSError, RecordError):
        return False
    return True


def _read_folder(folder: Path, is_wanted: Choice, problems: list[RecordProblem]) -> list[Record]:
    records = []
    parts: dict[str, tuple[bytes, Any]] = {}
    for path in record_files(folder):
        if not may_be_record(path):
            continue
        try:
            content = read_content(path)
            if is_wanted(content):
                _share_parts(content, parts)
                records.append(_with_health_of_today(to_record(content, path)))
        except RecordError as error:
            problems.append(RecordProblem(path, str(error)))
        except OSError as error:
            problems.append(RecordProblem(path, error.strerror or str(error)))
    return records


def _share_parts(content: dict[str, Any], last: dict[str, tuple[bytes, Any]]) -> None:
    """Let parts of a record's spec that are written as in the last record be the same objects, which saves memory.

    In segments the records of one method come one after the other.
    """
    spec = content.get("spec")
    for name, part in spec.items() if isinstance(spec, dict) else ():
        if isinstance(part, dict):
            text = to_json(part)
            if name not in last or last[name][0] != text:
                last[name] = text, part
            content["spec"][name] = last[name][1]


def _with_health_of_today(record: Record) -> Record:
    return record.model_copy(update={"health": judge_again(record.health)}) if record.health else record


def _nothing_found(directories: Sequence[Path], problems: list[RecordProblem]) -> RecordError:
    looked = ", ".join(f"{directory}/*.json and {directory}/*/*.json" for directory in directories)
    message = f"no records found (looked for {looked})"
    places = [place for directory in directories for place in (directory, *sorted(directory.iterdir()))]
    begun = [place for place in places if (place / RUN_FILE).is_file()]
    if not begun and not problems:
        return RecordError(f"{message}; run a benchmark first: `segbench run quickstart`")
    follow = f"; a run has begun and no cell is done yet: `segbench watch {begun[0]}` follows it" if begun else ""
    unread = "".join(f"\n  not read: {problem}" for problem in problems)
    folders = begun or dict.fromkeys(problem.path.parent for problem in problems)
    return NothingRecordedError(f"{message}{follow}{unread}", Sources((), tuple(folders), tuple(problems)))


def _check_is_there(benchmark: str, records: Sequence[Record], directories: Sequence[Path]) -> None:
    names = sorted({record.benchmark for record in records})
    if benchmark not in names:
        where = ", ".join(str(directory) for directory in directories)
        missing = f"no records of benchmark {benchmark!r} in {where}.{alternatives(benchmark, names)}"
        raise RecordError(missing).among(names)
