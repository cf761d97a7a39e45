"""Records from one or several folders, read without changing anything there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.errors import RecordError, nearest
from segbench.store.folder import RecordProblem, is_stranger, read_record, record_files

from .conditions import conditions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segbench.store.record import Record


@dataclass(frozen=True)
class Sources:
    """The records of a report, the folders they lie in, and the files that could not be read."""

    records: tuple[Record, ...]
    folders: tuple[Path, ...]
    problems: tuple[RecordProblem, ...]


def read_sources(directories: Sequence[Path], benchmark: str | None = None) -> Sources:
    """Read and merge the records of results folders, or of single benchmarks' folders, in the order given.

    Raises RecordError if a directory is missing, if there are no records, or none of the named benchmark.
    """
    folders = [folder for directory in directories for folder in _benchmark_folders(directory)]
    problems: list[RecordProblem] = []
    found = [(folder, record) for folder in dict.fromkeys(folders) for record in _read_folder(folder, problems)]
    if not found:
        raise _nothing_found(directories, problems)
    if benchmark is not None:
        _check_is_there(benchmark, [record for _, record in found], directories)
    wanted = [(folder, record) for folder, record in found if benchmark in (None, record.benchmark)]
    used = dict.fromkeys(folder for folder, _ in wanted)
    return Sources(tuple(merge([record for _, record in wanted])), tuple(used), tuple(problems))


def merge(records: Sequence[Record]) -> list[Record]:
    """Keep one record of each cell: ok wins over anything else, then the timed one, then the one given first.

    A cell that ran on several devices has an ok record for each, since these are never ranked together.
    """
    best: dict[object, Record] = {}
    for record in sorted(records, key=_preference):
        identity = (record.key, conditions(record)) if record.status == "ok" else record.key
        best.setdefault(identity, record)
    finished = {record.key for record in best.values() if record.status == "ok"}
    kept = [record for record in best.values() if record.status == "ok" or record.key not in finished]
    return sorted(kept, key=lambda record: (record.benchmark, record.dataset, record.method, record.seed, record.key))


def _preference(record: Record) -> tuple[bool, bool]:
    return record.status != "ok", not record.inference


def _benchmark_folders(directory: Path) -> list[Path]:
    """Return the folder itself if it holds records, else those of its subfolders that do."""
    if not directory.is_dir():
        raise RecordError(
            f"no results folder at {directory}; run a benchmark first (`segbench run quickstart`), "
            "or name the folder that `segbench run --results` wrote to"
        )
    if _holds_records(directory):
        return [directory]
    subfolders = sorted(path for path in directory.iterdir() if path.is_dir() and path.name != "claims")
    return [folder for folder in subfolders if _holds_records(folder)]


def _holds_records(folder: Path) -> bool:
    return any(not is_stranger(path) for path in record_files(folder))


def _read_folder(folder: Path, problems: list[RecordProblem]) -> list[Record]:
    records = []
    for path in record_files(folder):
        if is_stranger(path):
            continue
        try:
            records.append(read_record(path))
        except (OSError, RecordError) as error:
            problems.append(RecordProblem(path, str(error)))
    return records


def _nothing_found(directories: Sequence[Path], problems: list[RecordProblem]) -> RecordError:
    looked = ", ".join(f"{directory}/*.json and {directory}/*/*.json" for directory in directories)
    unread = "".join(f"\n  not read: {problem}" for problem in problems)
    return RecordError(
        f"no records found (looked for {looked}); run a benchmark first: `segbench run quickstart`{unread}"
    )


def _check_is_there(benchmark: str, records: Sequence[Record], directories: Sequence[Path]) -> None:
    names = sorted({record.benchmark for record in records})
    if benchmark not in names:
        where = ", ".join(str(directory) for directory in directories)
        hint = nearest(benchmark, names)
        raise RecordError(f"no records of benchmark {benchmark!r} in {where}; there are: {', '.join(names)}.{hint}")
