"""Recorded cells run again, and what came out compared with their records."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.config.protocol import Keep
from segbench.engine.job import ADVERSARIAL_WEIGHTS, MODEL, PROBABILITIES
from segbench.errors import RecordError, SegbenchError
from segbench.plan.repeat import read_cell, with_key
from segbench.shown import quote
from segbench.store.atomic import write_atomically
from segbench.store.folder import KEY, ResultsFolder, files_of, read_bytes, read_record, record_of
from segbench.store.segments import packed_files

from .jobs import ENGINE, RECORD_IS_ENOUGH, RunOptions, key_of, upstream_of
from .judge import judge
from .run import run
from .temporary import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.plan.cell import Cell
    from segbench.plan.repeat import Repeats
    from segbench.store.record import Record
    from segbench.store.verification import Verification

    from .jobs import Functions
    from .judge import Asked
    from .progress import Listener
    from .run import Summary
    from .workers import Workers


@dataclass(frozen=True)
class Answer:
    """The mark of a record that was run again, or why it could not be; `interrupted` if the run was stopped."""

    asked: Asked
    mark: Verification | None = None
    cause: str | None = None
    interrupted: bool = False


def verify(
    asked: Sequence[Asked],
    repeats: Repeats,
    *,
    device: str,
    results: Path | None = None,
    jobs: int = 1,
    timeout: float | None = None,
    listener: Listener,
    workers: Workers | None = None,
    functions: Functions = ENGINE,
) -> list[Answer]:
    """Run recorded cells again, `jobs` at a time, and compare what comes out; no file of theirs is changed.

    `device`, `jobs` and `timeout` are as in `run`, but auto is the kind of device that a cell was recorded on. What was
    run is kept in the folder `results`, and not run again if it lies there; else the folder is a temporary one. What a
    cell builds on is taken from the records beside its own, and trained again where its weights are not there. The
    answers are in the order in which cells were asked for.
    """
    answers: dict[Asked, Answer] = {}
    groups: dict[_Group, dict[Asked, list[Needed]]] = {}
    for one in asked:
        try:
            needed = _find_cells(one, repeats)
        except SegbenchError as error:
            answers[one] = Answer(one, cause=str(error))
        else:
            groups.setdefault(_find_group(one, needed, device), {})[one] = needed
    start = partial(run, listener=listener, workers=workers, functions=functions)
    with temporary_folder() if results is None else nullcontext(results) as root:
        for group, cells in groups.items():
            if any(answer.interrupted for answer in answers.values()):
                answers |= {one: _stopped(one) for one in cells}
                continue
            folder, options = ResultsFolder(Path(root), group.folder), RunOptions(group.device, jobs, timeout)
            begin = partial(start, options=options)
            answers |= _run_group(cells, folder, repeats, begin, len(asked))
    return [answers[one] for one in asked]


class Needed(NamedTuple):
    """A cell of a verification, and the folder of the files of its record if that is taken; None if it is to be run."""

    cell: Cell
    taken_from: Path | None


class _Group(NamedTuple):
    """What cells that run together have in common: the folder of their records, a device, the folder they run in."""

    place: Path
    device: str
    folder: str


def _find_group(asked: Asked, needed: Sequence[Needed], device: str) -> _Group:
    """Return the group of a cell; one that takes anything of other records is alone, as others may run their cells."""
    place = record_of(asked.folder).parent.resolve()
    if device == "auto":
        device = "cuda" if str(asked.record.environment.get("device")).startswith("cuda") else "cpu"
    is_alone = any(one.taken_from for one in needed)
    names = [place.name, device.partition(":")[0], *([key_of(needed[-1].cell)] if is_alone else [])]
    return _Group(place, device, "-".join(names))


def _find_cells(asked: Asked, repeats: Repeats) -> list[Needed]:
    """Return the cell that is asked for, last, and before it those that it builds on, upstream first.

    Raises the SegbenchError that says why it cannot be run again.
    """
    found: dict[str, Needed] = {}
    cell = _add_upstream(repeats.cell(asked.record, asked.folder), asked.folder, repeats, found)
    return [*found.values(), Needed(_to_be_run(cell), None)]


def _add_upstream(cell: Cell, folder: Path, repeats: Repeats, found: dict[str, Needed]) -> Cell:
    """Add what a cell builds on, and return the cell as it builds on that: other code gives other keys."""
    upstream = dict(cell.upstream)
    for reason, key in upstream_of(cell).items():
        record = _read_upstream(reason, key, folder)
        files = files_of(record_of(folder).parent, record)
        if _has_what_is_needed(reason, files):
            found[key] = Needed(_to_be_run(read_cell(record)), files)
        else:
            needed = _add_upstream(repeats.cell(record, files), files, repeats, found)
            upstream[reason] = key_of(needed)
            found.setdefault(key_of(needed), Needed(_to_be_run(needed), None))
    return cell if upstream == cell.upstream else with_key(cell.model_copy(update={"upstream": upstream}))


def _read_upstream(reason: str, key: str, folder: Path) -> Record:
    if not KEY.fullmatch(key):
        raise RecordError(f"{quote(key)} is not the key of the cell that {quote(reason)} needs")
    path = record_of(folder).with_name(f"{key}.json")
    try:
        record = read_record(path)
    except (OSError, RecordError) as error:
        raise RecordError(f"{reason} needs the cell {key}, whose record cannot be read from {path}: {error}") from error
    if record.status != "ok":
        raise RecordError(f"{reason} needs the cell {key}, which is {record.status}")
    return record


def _has_what_is_needed(reason: str, folder: Path) -> bool:
    """Tell whether the folder of an upstream cell holds what is taken over of it."""
    if reason.startswith(RECORD_IS_ENOUGH):
        return True
    file = ADVERSARIAL_WEIGHTS if reason == "weight" else PROBABILITIES if " fold " in reason else MODEL
    return (folder / file).exists()


def _to_be_run(cell: Cell) -> Cell:
    """Return a cell that is not timed and keeps no pictures, but its weights, none of which changes its scores."""
    method = cell.method.with_protocol(timing=None, keep=Keep(model="last", samples=0))
    return cell.model_copy(update={"method": method})


def _run_group(
    cells: Mapping[Asked, Sequence[Needed]],
    folder: ResultsFolder,
    repeats: Repeats,
    start: Callable[..., Summary],
    together: int,
) -> dict[Asked, Answer]:
    needed = {key_of(one.cell): one for found in cells.values() for one in found}
    datasets = {one.cell.dataset_name: repeats.dataset(one.cell) for one in needed.values() if one.taken_from is None}
    try:
        for one in needed.values():
            if one.taken_from is not None:
                _copy_record(one.taken_from, folder.path)
        summary = start([one.cell for one in needed.values()], folder, datasets=datasets)
    except SegbenchError as error:
        return {one: Answer(one, cause=str(error)) for one in cells}
    again = {record.key: record for record in summary.records}
    run = {one: found[-1].cell for one, found in cells.items()}
    return {one: _answer(one, cell, again.get(key_of(cell)), folder, together) for one, cell in run.items()}


def _copy_record(source: Path, place: Path) -> None:
    """Copy the record to which some files belong, and these, unless they have been; RecordError if another is there."""
    record, packed = record_of(source), packed_files(record_of(source))
    copy, target = place / record.name, place / source.relative_to(record.parent)
    try:
        if copy.exists():
            if copy.read_bytes() != read_bytes(record):
                raise RecordError(f"{copy} is not that of {record}; name another folder with --results")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        for file, content in packed.items():
            write_atomically(place / file.relative_to(record.parent), content)
        if not packed:
            shutil.copyfile(record, copy)  # last, so that a copy that was stopped begins anew
    except (OSError, shutil.Error) as error:
        raise RecordError(f"{source} cannot be copied: {error}") from error


def _answer(asked: Asked, cell: Cell, again: Record | None, folder: ResultsFolder, together: int) -> Answer:
    if again is None or again.status == "interrupted":
        return _stopped(asked)
    if again.status != "ok":
        return Answer(asked, cause=f"it {again.status} this time: {again.error.cause if again.error else 'unknown'}")
    try:
        return Answer(asked, mark=judge(asked, cell, again, files_of(folder.path, again), together))
    except RecordError as error:
        return Answer(asked, cause=str(error))


def _stopped(asked: Asked) -> Answer:
    return Answer(asked, cause="the verification was stopped before this cell was done", interrupted=True)
