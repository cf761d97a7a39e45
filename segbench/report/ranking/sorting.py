"""How the records of a ranking are sorted into rows, which of them count, and how rows are named and noted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.report import cell_spec
from segbench.report.conditions import fill_in_missing, rank_conditions, read_conditions
from segbench.report.numbers import letter, name_seeds, significant
from segbench.report.selection import name_recipe

from .rows import flops_size, shared_gpu, timings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.conditions import Conditions
    from segbench.store.record import Record

    from .rows import Row, Runs

Place = TypeVar("Place", str, float)


class RowRecords(NamedTuple):
    """The records of one row: one method and recipe, and for each seed the record that counts.

    `runs` are, for each of the conditions that it ran under, the latest records of each seed, and `conditions` those
    of most records of the ranking; None for label maps scored from elsewhere.
    """

    method: str
    records: tuple[Record, ...]
    conditions: Conditions | None
    notes: tuple[str, ...]
    runs: Runs


def sort_into_rows(records: Iterable[Record]) -> list[RowRecords]:
    """Put records of one set of data, protocol and scoring together by method and recipe.

    Of several records of a seed the one from where most records of all rows come from counts, and of those the latest:
    so as many pairs as can be share a machine, and no score decides which one is shown.
    """
    found: dict[tuple[str, str], dict[Conditions | None, list[Record]]] = {}
    read_recipe = cell_spec.read_once(cell_spec.recipe_text, "method", "sources", "versions")
    for record in sorted(records, key=_latest_first):
        is_scored_only = cell_spec.is_scored_only(record)
        what = cell_spec.canonical(cell_spec.definitions(record)) if is_scored_only else read_recipe(record)
        where = None if is_scored_only else read_conditions(record)
        found.setdefault((record.method, what), {}).setdefault(where, []).append(record)
    completed = [
        {where and _with_timing(where, run): run for where, run in by_conditions.items()}
        for by_conditions in found.values()
    ]
    ranked, filled = _rank([run for by_conditions in completed for run in by_conditions.items()])
    return [
        _row_records(method, {where and filled[where]: run for where, run in by_conditions.items()}, ranked)
        for (method, _), by_conditions in zip(found, completed, strict=True)
    ]


def find_places(rows: Iterable[RowRecords]) -> tuple[Conditions, ...]:
    """Return all conditions that the records of some rows came about under, those of most records first."""
    return tuple(rank_conditions(_count(run for row in rows for run in row.runs.items())))


class RowLabel(NamedTuple):
    """The name of a row; where several rows have its method's, the letter in it, and what differs and when."""

    name: str
    letter: str = ""
    recipe: str = ""


def label_rows(rows: Sequence[RowRecords]) -> list[RowLabel]:
    """Return the label of each row of a ranking; of several rows of one method the oldest has the first letter."""
    number = Counter(row.method for row in rows)
    several = sorted((row for row in rows if number[row.method] > 1), key=lambda row: (row.method, _begun(row.records)))
    found = {
        id(row): RowLabel(f"{row.method} ({letter(place)})", letter(place), _describe_recipe(row, several))
        for place, row in enumerate(several)
    }
    return [found.get(id(row), RowLabel(row.method)) for row in rows]


def name_recipes(found: Mapping[tuple[str, str], Mapping[Place, Row]]) -> dict[str, Mapping[Place, Row]]:
    """Name the rows of each method and recipe by the method, or by a key if the method has several recipes."""
    number = Counter(method for method, _ in found)
    return {
        method if number[method] == 1 else name_recipe(next(iter(rows.values())).records[0]): rows
        for (method, _), rows in found.items()
    }


def _describe_recipe(row: RowRecords, several: Sequence[RowRecords]) -> str:
    """Say how a row differs from the other rows of its method, with its selector and when it was begun."""
    first = min(row.records, key=cell_spec.start_time)
    same = [other for other in several if other.method == row.method]
    differences = cell_spec.differences([cell_spec.recipe(other.records[0]) for other in same])
    what = differences[same.index(row)] or "it lacks what the others have"
    begun = cell_spec.start_text(first)
    return (
        f"one of {len(same)} recipes recorded as {row.method}, {name_recipe(first)}"
        f"{f', begun {begun}' if begun else ''}: {what}"
    )


def _begun(records: Iterable[Record]) -> tuple[float, str]:
    return min((cell_spec.start_time(record), record.key) for record in records)


def _rank(
    runs: Sequence[tuple[Conditions | None, Sequence[Record]]],
) -> tuple[list[Conditions], dict[Conditions, Conditions]]:
    """Return all conditions of runs, those of most records first, and what each is with what it does not tell."""
    filled = fill_in_missing(_count(runs))
    return rank_conditions(_count((where and filled[where], run) for where, run in runs)), filled


def _count(runs: Iterable[tuple[Conditions | None, Sequence[Record]]]) -> Counter[Conditions]:
    number: Counter[Conditions] = Counter()
    for where, run in runs:
        if where is not None:
            number[where] += len(_by_seed(run))
    return number


def _by_seed(records: Iterable[Record]) -> dict[int, list[Record]]:
    by_seed: dict[int, list[Record]] = {}
    for record in records:
        by_seed.setdefault(record.seed, []).append(record)
    return dict(sorted(by_seed.items()))


def _row_records(
    method: str, found: Mapping[Conditions | None, Sequence[Record]], ranked: Sequence[Conditions]
) -> RowRecords:
    """Return a row from its records under each conditions, the latest first, and all conditions of the ranking."""
    order = [where for where in (*ranked, None) if where in found]
    by_seed = _by_seed(record for where in order for record in found[where])
    counting = tuple(records[0] for records in by_seed.values())
    runs = {where: tuple(one[0] for one in _by_seed(found[where]).values()) for where in order if where}
    main = ranked[0] if runs else None
    return RowRecords(method, counting, main, tuple(_notes(counting[0], by_seed)), runs)


def _latest_first(record: Record) -> tuple[float, str]:
    return -cell_spec.start_time(record), record.key


def _notes(record: Record, by_seed: dict[int, list[Record]]) -> Iterable[str]:
    if cell_spec.is_scored_only(record):
        yield "label maps made elsewhere and only scored here: not trained under this protocol, no cost known"
    if overrides := cell_spec.overrides(record):
        yield f"overrides the benchmark's protocol: {', '.join(overrides)}"
    if record.scores and (views := cell_spec.views(record)):
        yield f"probabilities are averaged over {views} views of each image (tta), which its costs of inference include"
    for file in record.plugin_files:
        yield f"{file.plugin}/ is a single file (SHA-256 {file.sha256[:12]}), no package; each cell keeps a copy of it"
    if absent := _absent_classes([found[0] for found in by_seed.values()]):
        yield absent
    if record.evaluated and (shared := record.evaluated.also_in_train):
        of = f"{shared} of the {record.evaluated.images} {record.evaluated.split} images"
        yield f"{of} {'is' if shared == 1 else 'are'} in train too, so the score looks too good"
    if like := cell_spec.as_long_as(record):
        yield f"trained {_seconds_text(found[0] for found in by_seed.values())}, as long as {like}"
    if any(shared_gpu(found[0]) for found in by_seed.values()):
        yield "cells were trained on one GPU at once, so their seconds and speed of training are left out"
    yield from _name_ignored(by_seed)


def _name_ignored(by_seed: Mapping[int, Sequence[Record]]) -> Iterable[str]:
    """Say which records of which seeds do not count: those of another key, and the same cell run elsewhere."""
    elsewhere = []
    for seed, (shown, *others) in by_seed.items():
        if ignored := [record.key for record in others if record.key != shown.key]:
            why = (
                "the latest" if cell_spec.start_time(shown) == max(map(cell_spec.start_time, by_seed[seed])) else "one"
            )
            times = f"seed {seed} is recorded {len(ignored) + 1} times"
            yield f"{times}; {why}, {shown.key}, is shown; ignored: {', '.join(ignored)}"
        if len(ignored) < len(others):
            elsewhere.append(seed)
    if elsewhere:
        yield f"{name_seeds(elsewhere)} ran under several conditions; the scores are from where most cells ran"


def _seconds_text(records: Iterable[Record]) -> str:
    """Return the budgets in seconds that cells took over from others: "41.2 s", or "38.0 to 41.2 s" over the seeds."""
    seconds = [record.settled.seconds for record in records if record.settled and record.settled.seconds is not None]
    if not seconds:
        return "an unknown time"
    ends = dict.fromkeys(significant(end) for end in (min(seconds), max(seconds)))
    return f"{' to '.join(ends)} s"


def _absent_classes(records: Sequence[Record]) -> str | None:
    """Say over how many classes the mean goes, if over one or not over all."""
    classes = [record.per_class.iou for record in records if record.per_class]
    counts = {(len(iou) - iou.count(None), len(iou)) for iou in classes}
    if any(present == 1 for present, _ in counts):
        return "only one class occurs in truth and prediction, so a score of 100 says nothing"
    if all(present == known for present, known in counts):
        return None
    ratios = " or ".join(f"{present} of {known}" for present, known in sorted(counts))
    return f"mIoU over {ratios} classes; the others occur in neither truth nor prediction"


def _with_timing(where: Conditions, records: Sequence[Record]) -> Conditions:
    """Complete conditions by what the timing of the records tells."""
    timed = timings(records, "forward").values()
    sizes = tuple(sorted({timing.size for timing in timed}))
    if not sizes and (counted_at := flops_size(records)):
        sizes = (counted_at,)
    budget = "reduced" if any(timing.budget == "reduced" for timing in timed) else "full" if timed else None
    return replace(where, sizes=sizes or None, timing_budget=budget)
