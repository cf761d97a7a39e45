"""Recorded cells run again, and what came out compared with their records."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.config.protocol import Keep
from segbench.engine.job import ADVERSARIAL_WEIGHTS, MODEL, PROBABILITIES
from segbench.errors import RecordError, SegbenchError
from segbench.plan.repeat import describe_changes, read_cell, with_key
from segbench.shown import quote
from segbench.stats.summary import CONFIDENCE_LEVEL, Interval, interval_of_repeat
from segbench.store.counts import COUNTS, read_counts
from segbench.store.folder import KEY, ResultsFolder, read_record
from segbench.store.verification import Verification

from .jobs import ENGINE, key_of, upstream_of
from .run import run
from .temporary import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.plan.cell import Cell
    from segbench.plan.repeat import Repeats
    from segbench.store.record import Record
    from segbench.store.verification import Outcome

    from .jobs import Functions
    from .progress import Listener
    from .run import Summary
    from .workers import Workers

# What of an environment must agree for equal bits: the processor, its threads, and the libraries that compute.
_SAME_KIND = ("device", "device_name", "cpu", "bf16", "threads", "torch")
# The reasons for which a cell takes no more of another one than what its record tells.
_RECORD_IS_ENOUGH = ("budget", "trial")


@dataclass(frozen=True, eq=False)
class Asked:
    """A finished record that is to be run again, the folder of its other files, and the scores of other seeds.

    `others` are the values of what `compared_score` names, for each test fold those that are not of this seed.
    """

    record: Record
    folder: Path
    others: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Answer:
    """The mark of a record that was run again, or why it could not be; `interrupted` if the run was stopped."""

    asked: Asked
    mark: Verification | None = None
    cause: str | None = None
    interrupted: bool = False


def compared_score(record: Record) -> str:
    """Return the score that tells whether a cell with other bits came out: mIoU, or that of its images."""
    if record.scores and record.scores.miou is not None:
        return "miou"
    return "kid" if record.generation and record.generation.kid is not None else "pixel_statistics"


def read_score(record: Record, name: str) -> float | None:
    """Return a score that `compared_score` names."""
    return getattr(record.scores if name == "miou" else record.generation, name, None)


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
    start = partial(run, jobs=jobs, timeout=timeout, listener=listener, workers=workers, functions=functions)
    with temporary_folder() if results is None else nullcontext(results) as root:
        for group, cells in groups.items():
            if any(answer.interrupted for answer in answers.values()):
                answers |= {one: _stopped(one) for one in cells}
                continue
            folder, begin = ResultsFolder(Path(root), group.folder), partial(start, device=group.device)
            answers |= _run_group(cells, folder, repeats, begin, len(asked))
    return [answers[one] for one in asked]


class Needed(NamedTuple):
    """A cell of a verification, and the folder from which its record is taken; None if it is to be run."""

    cell: Cell
    taken_from: Path | None


class _Group(NamedTuple):
    """What cells that run together have in common: the folder of their records, a device, the folder they run in."""

    place: Path
    device: str
    folder: str


def _find_group(asked: Asked, needed: Sequence[Needed], device: str) -> _Group:
    """Return the group of a cell; one that takes anything of other records is alone, as others may run their cells."""
    place = asked.folder.resolve().parent
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
        record, place = _read_upstream(reason, key, folder), folder.with_name(key)
        if _has_what_is_needed(reason, place):
            found[key] = Needed(_to_be_run(read_cell(record)), place)
        else:
            needed = _add_upstream(repeats.cell(record, place), place, repeats, found)
            upstream[reason] = key_of(needed)
            found.setdefault(key_of(needed), Needed(_to_be_run(needed), None))
    return cell if upstream == cell.upstream else with_key(cell.model_copy(update={"upstream": upstream}))


def _read_upstream(reason: str, key: str, folder: Path) -> Record:
    if not KEY.fullmatch(key):
        raise RecordError(f"{quote(key)} is not the key of the cell that {quote(reason)} needs")
    path = folder.with_name(f"{key}.json")
    try:
        record = read_record(path)
    except (OSError, RecordError) as error:
        raise RecordError(f"{reason} needs the cell {key}, whose record cannot be read from {path}: {error}") from error
    if record.status != "ok":
        raise RecordError(f"{reason} needs the cell {key}, which is {record.status}")
    return record


def _has_what_is_needed(reason: str, folder: Path) -> bool:
    """Tell whether the folder of an upstream cell holds what is taken over of it."""
    if reason.startswith(_RECORD_IS_ENOUGH):
        return True
    file = ADVERSARIAL_WEIGHTS if reason == "weight" else PROBABILITIES if " fold " in reason else MODEL
    return (folder / file).exists()


def _to_be_run(cell: Cell) -> Cell:
    """Return a cell that is not timed and keeps no pictures, but its weights, none of which changes its scores."""
    protocol = cell.method.protocol.model_copy(update={"timing": None, "keep": Keep(model="last", samples=0)})
    return cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})


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
        for key, one in needed.items():
            if one.taken_from is not None:
                _copy_record(one.taken_from, folder.cell_folder(key))
        summary = start([one.cell for one in needed.values()], folder, datasets=datasets)
    except SegbenchError as error:
        return {one: Answer(one, cause=str(error)) for one in cells}
    again = {record.key: record for record in summary.records}
    run = {one: found[-1].cell for one, found in cells.items()}
    return {one: _answer(one, cell, again.get(key_of(cell)), folder, together) for one, cell in run.items()}


def _copy_record(source: Path, target: Path) -> None:
    """Copy a record and its files, unless they have been copied before; RecordError if another record is there."""
    record, copy = source.with_suffix(".json"), target.with_suffix(".json")
    try:
        if copy.exists():
            if copy.read_bytes() != record.read_bytes():
                raise RecordError(f"{copy} is not that of {record}; name another folder with --results")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        shutil.copyfile(record, copy)  # last, so that a copy that was stopped begins anew
    except (OSError, shutil.Error) as error:
        raise RecordError(f"{source} cannot be copied: {error}") from error


def _answer(asked: Asked, cell: Cell, again: Record | None, folder: ResultsFolder, together: int) -> Answer:
    if again is None or again.status == "interrupted":
        return _stopped(asked)
    if again.status != "ok":
        return Answer(asked, cause=f"it {again.status} this time: {again.error.cause if again.error else 'unknown'}")
    try:
        return Answer(asked, mark=judge(asked, cell, again, folder.cell_folder(again.key), together))
    except RecordError as error:
        return Answer(asked, cause=str(error))


def _stopped(asked: Asked) -> Answer:
    return Answer(asked, cause="the verification was stopped before this cell was done", interrupted=True)


def judge(asked: Asked, cell: Cell, again: Record, folder: Path, together: int = 1) -> Verification:
    """Return the mark of a record whose `cell` came out as `again`, with its files in `folder`.

    Equal counts and scores of every image are the same bits. Where these were not to be expected (another kind of
    processor, other code or libraries, a budget in seconds), the score must lie as near to the recorded one as the
    spread of seeds lets expect of all cells that are verified `together`. Raises RecordError if the counts of either
    cannot be read.
    """
    record, name = asked.record, compared_score(asked.record)
    before, after = read_score(record, name), read_score(again, name)
    unlike = _find_unlike(record, cell, again)
    differences = _find_differences(asked, again, folder)
    is_expected = bool(unlike and differences)
    interval = _find_interval(asked, name, before, together) if is_expected else None
    inside = interval is not None and after is not None and interval.low <= after <= interval.high
    outcome: Outcome = "not reproduced" if differences else "same bits"
    if is_expected:
        outcome = "undecided" if interval is None else "within seeds" if inside else "not reproduced"
    return Verification(
        key=record.key,
        outcome=outcome,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        score=name,
        before=before,
        after=after,
        low=interval and interval.low,
        high=interval and interval.high,
        seeds=1 + sum(map(len, asked.others)),
        together=together,
        differences=(*unlike, *differences),
        recorded=record.scores,
        generation=record.generation,
        machine={key: again.environment.get(key) for key in (*_SAME_KIND, "platform", "segbench")},
    )


def _find_interval(asked: Asked, name: str, before: float | None, together: int) -> Interval | None:
    """Return where the score of a repeat lies with 95 % for all cells together (Bonferroni); None if it may be any."""
    if before is None:
        return None
    found = interval_of_repeat(before, asked.others, 1 - (1 - CONFIDENCE_LEVEL) / together)
    if found is None or name != "miou":
        return found
    return None if found.low <= 0 and found.high >= 1 else Interval(*(min(max(end, 0.0), 1.0) for end in found))


def _find_unlike(record: Record, cell: Cell, again: Record) -> list[str]:
    """Say why other bits were to be expected; empty if they were not."""
    before, now = record.environment, again.environment
    found = [
        f"{name}: {now.get(name)}, was {before.get(name)}"
        for name in _SAME_KIND
        if name in before and now.get(name) != before[name]
    ]
    changes = describe_changes(read_cell(record), cell)
    found += [change for change in changes if change not in found]  # torch is among what most components require
    budget = cell.method.protocol.budget
    found += ["its budget is in seconds"] if budget.seconds is not None or budget.like is not None else []
    in_no_order = str(now.get("device")).startswith("cuda") and not cell.method.protocol.deterministic
    found += ["a GPU adds in no fixed order without `deterministic: true`"] if in_no_order else []
    return found


def _find_differences(asked: Asked, again: Record, folder: Path) -> list[str]:
    """Say in which scores and in the counts of how many images two records of one cell differ."""
    one, other = asked.record.model_dump(), again.model_dump()
    found = [
        f"{name} {_write(before)}, now {_write(after)}"
        for part in ("scores", "generation", "refinement")
        for name, before in (one[part] or {}).items()
        if (after := (other[part] or {}).get(name)) != before
    ]
    if asked.record.per_class != again.per_class and not found:
        found.append("scores by class")
    return [*_find_other_counts(asked.folder, folder), *found]


def _find_other_counts(one: Path, other: Path) -> list[str]:
    import numpy as np

    if not (one / COUNTS).exists() and not (other / COUNTS).exists():
        return []
    before, after = read_counts(one), read_counts(other)
    if before.ids != after.ids or before.confusion.shape != after.confusion.shape:
        return ["other images or classes were counted"]
    changed = np.zeros(len(before.ids), bool)
    for field in fields(before):
        ours, theirs = getattr(before, field.name), getattr(after, field.name)
        if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
            same = np.array([np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True)])
            changed |= ~same
    return [f"the counts of {changed.sum()} of {len(changed)} images"] if changed.any() else []


def _write(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
