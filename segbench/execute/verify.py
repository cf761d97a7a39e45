"""Recorded cells run again in a temporary place, and what came out compared with their records."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from segbench.config.protocol import Keep
from segbench.engine.job import ADVERSARIAL_WEIGHTS, MODEL, PROBABILITIES
from segbench.errors import RecordError, SegbenchError
from segbench.plan.repeat import read_cell
from segbench.shown import quote
from segbench.stats.summary import Interval, interval_of_one_more
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
    """A finished record that is to be run again, the folder of its other files, and the scores of its recipe's seeds.

    `scores` are of what `compared_score` names, those of this record among them.
    """

    record: Record
    folder: Path
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """The mark of a record that was run again, or why it could not be; `interrupted` if the run was stopped."""

    asked: Asked
    mark: Verification | None = None
    cause: str | None = None
    interrupted: bool = False


def compared_score(record: Record) -> str:
    """Return the score that tells whether a cell on another kind of processor came out: mIoU, or that of its images."""
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
    jobs: int = 1,
    timeout: float | None = None,
    listener: Listener,
    workers: Workers | None = None,
    functions: Functions = ENGINE,
) -> list[Answer]:
    """Run recorded cells again, `jobs` at a time, and compare what comes out; no file of theirs is changed.

    `device`, `jobs` and `timeout` are as in `run`. What a cell builds on is taken from the records beside its own, and
    trained again where its weights are not there. The answers are in the order in which cells were asked for.
    """
    answers: dict[Asked, Answer] = {}
    waiting: dict[Asked, list[Needed]] = {}
    for one in asked:
        try:
            waiting[one] = _find_cells(one, repeats)
        except SegbenchError as error:
            answers[one] = Answer(one, cause=str(error))
    start = partial(run, device=device, jobs=jobs, timeout=timeout, listener=listener, functions=functions)
    while waiting:
        wave = {one: waiting.pop(one) for one in _find_wave(waiting)}
        answers |= _run_wave(wave, repeats, partial(start, workers=workers))
    return [answers[one] for one in asked]


class Needed(NamedTuple):
    """A cell of a verification, and the folder from which its record is taken; None if it is to be run."""

    cell: Cell
    taken_from: Path | None


def _find_cells(asked: Asked, repeats: Repeats) -> list[Needed]:
    """Return the cell that is asked for, last, and before it those that it builds on, upstream first.

    Raises the SegbenchError that says why it cannot be run again.
    """
    cell = repeats.cell(asked.record, asked.folder)
    found: dict[str, Needed] = {}
    _add_upstream(cell, asked.folder, repeats, found)
    return [*found.values(), Needed(_with_keeping(cell, "none"), None)]


def _add_upstream(cell: Cell, folder: Path, repeats: Repeats, found: dict[str, Needed]) -> None:
    for reason, key in upstream_of(cell).items():
        if key in found:
            continue
        record, place = _read_upstream(reason, key, folder), folder.with_name(key)
        if _has_what_is_needed(reason, place):
            found[key] = Needed(_with_keeping(read_cell(record), "last"), place)
        else:
            needed = repeats.cell(record, place)
            _add_upstream(needed, place, repeats, found)
            found[key] = Needed(_with_keeping(needed, "last"), None)


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


def _with_keeping(cell: Cell, model: Literal["none", "last"]) -> Cell:
    """Return a cell that is not timed and keeps no pictures, none of which changes its scores."""
    protocol = cell.method.protocol.model_copy(update={"timing": None, "keep": Keep(model=model, samples=0)})
    return cell.model_copy(update={"method": cell.method.model_copy(update={"protocol": protocol})})


def _find_wave(waiting: Mapping[Asked, list[Needed]]) -> list[Asked]:
    """Return cells of one folder that can run together: no other cell that waits takes anything of their records."""
    place = next(iter(waiting)).folder.parent
    beside = [one for one in waiting if one.folder.parent == place]
    taken = {key_of(needed.cell) for one in beside for needed in waiting[one][:-1]}
    return [one for one in beside if one.record.key not in taken]


def _run_wave(
    wave: Mapping[Asked, list[Needed]], repeats: Repeats, start: Callable[..., Summary]
) -> dict[Asked, Answer]:
    needed = {key_of(one.cell): one for cells in wave.values() for one in cells}
    cells = [one.cell for one in needed.values()]
    datasets = {one.cell.dataset_name: repeats.dataset(one.cell) for one in needed.values() if one.taken_from is None}
    with temporary_folder() as place:
        folder = ResultsFolder(Path(place), "again")
        try:
            for key, one in needed.items():
                if one.taken_from is not None:
                    _copy_record(one.taken_from, folder.cell_folder(key))
            summary = start(cells, folder, datasets=datasets)
        except SegbenchError as error:
            return {one: Answer(one, cause=str(error)) for one in wave}
        again = {record.key: record for record in summary.records}
        return {one: _answer(one, again.get(one.record.key), folder, repeats) for one in wave}


def _copy_record(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.with_suffix(".json"), target.with_suffix(".json"))
        shutil.copytree(source, target)
    except (OSError, shutil.Error) as error:
        raise RecordError(f"{source} cannot be copied: {error}") from error


def _answer(asked: Asked, again: Record | None, folder: ResultsFolder, repeats: Repeats) -> Answer:
    if again is None or again.status == "interrupted":
        return Answer(asked, cause="the verification was stopped before this cell was done", interrupted=True)
    if again.status != "ok":
        return Answer(asked, cause=f"it {again.status} this time: {again.error.cause if again.error else 'unknown'}")
    try:
        return Answer(asked, mark=judge(asked, again, folder.cell_folder(again.key), repeats))
    except RecordError as error:
        return Answer(asked, cause=str(error))


def judge(asked: Asked, again: Record, folder: Path, repeats: Repeats) -> Verification:
    """Return the mark of a record whose cell came out as `again`, with its files in `folder`.

    Equal counts and scores of every image are the same bits. Where these were not to be expected (another kind of
    processor, other libraries, a budget in seconds), the score must lie in the interval of one more seed.
    Raises RecordError if the counts of either cannot be read.
    """
    record, name = asked.record, compared_score(asked.record)
    before, after = read_score(record, name), read_score(again, name)
    unlike = _find_unlike(record, again, repeats)
    differences = _find_differences(asked, again, folder)
    interval = interval_of_one_more(asked.scores)
    if interval is not None and name == "miou":
        interval = Interval(max(interval.low, 0.0), min(interval.high, 1.0))
    inside = None if interval is None or after is None else interval.low <= after <= interval.high
    outcome: Outcome = "within seeds" if inside else "undecided" if interval is None else "not reproduced"
    if not differences:
        outcome = "same bits"
    elif not unlike:
        outcome = "not reproduced"
    return Verification(
        key=record.key,
        outcome=outcome,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        score=name,
        before=before,
        after=after,
        low=interval and interval.low,
        high=interval and interval.high,
        seeds=len(asked.scores),
        differences=(*unlike, *differences),
        recorded=record.scores,
        generation=record.generation,
        machine={key: again.environment.get(key) for key in (*_SAME_KIND, "platform", "segbench")},
    )


def _find_unlike(record: Record, again: Record, repeats: Repeats) -> list[str]:
    """Say why other bits were to be expected; empty if they were not."""
    before, now = record.environment, again.environment
    found = [
        f"{name}: {now.get(name)}, was {before.get(name)}"
        for name in _SAME_KIND
        if name in before and now.get(name) != before[name]
    ]
    cell = read_cell(record)
    found += repeats.other_versions(cell)
    budget = cell.method.protocol.budget
    found += ["its budget is in seconds"] if budget.seconds is not None or budget.like is not None else []
    found += ["a GPU adds in no fixed order"] if str(now.get("device")).startswith("cuda") else []
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
