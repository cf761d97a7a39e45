"""Records of test folds become one for each seed, ranked by the images of all; seeds that lack folds are not ranked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.errors import RecordError
from segbench.report import cell_spec
from segbench.report.conditions import read_conditions
from segbench.report.folds import pool
from segbench.report.records import IncompleteSeed, identity, in_order
from segbench.store.folder import RecordProblem, record_of

from .comparable import read_own_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.report.conditions import Conditions
    from segbench.report.folds import PooledRecord
    from segbench.report.records import Identity, Sources
    from segbench.store.counts import Counts
    from segbench.store.record import Record

    Folds = Mapping[int, Record]


def pool_folds(sources: Sources) -> Sources:
    """Return the records with one for each cross-validated seed in the place of those of its test folds.

    A seed of which a fold is missing, or has counts that cannot be used, has none and is among the `incomplete`.
    """
    tested = [record for record in sources.ranked if cell_spec.test_fold(record) is not None]
    pooled: list[PooledRecord] = []
    incomplete: list[IncompleteSeed] = []
    problems: list[RecordProblem] = []
    for records in _by_seed(tested):
        counts = _read_counts(records, sources, problems)
        number = max(cell_spec.number_of_folds(record) or 0 for record in records)
        for folds in _choose([record for record in records if identity(record) in counts], number):
            if missing := sorted({*range(1, number + 1)} - folds.keys()):
                incomplete.append(IncompleteSeed(records[0], tuple(missing), number))
            else:
                pooled.append(_pool(folds, counts))
    ids = {id(record) for record in tested}
    others = [record for record in sources.records if id(record) not in ids]
    return replace(
        sources,
        records=tuple(sorted([*others, *pooled], key=in_order)),
        problems=(*sources.problems, *problems),
        incomplete=(*sources.incomplete, *incomplete),
    )


def _by_seed(tested: Iterable[Record]) -> list[list[Record]]:
    """Put the records of the test folds of one seed and recipe on one division of the data together."""
    found: dict[object, list[Record]] = {}
    for record in tested:
        data = record.benchmark, record.dataset, cell_spec.fingerprint(record), cell_spec.folds_text(record)
        made = cell_spec.canonical([cell_spec.recipe(record), cell_spec.definitions(record)])
        own = record.method, record.seed, cell_spec.pooled_subset(record), made
        found.setdefault((*data, *own), []).append(record)
    return list(found.values())


def _read_counts(
    records: Iterable[Record], sources: Sources, problems: list[RecordProblem]
) -> dict[Identity, Counts | None]:
    """Return the counts of records, None for those of methods that make images; what is unusable is a problem."""
    found: dict[Identity, Counts | None] = {}
    for record in records:
        try:
            found[identity(record)] = read_own_counts(record, sources) if record.scores else None
        except RecordError as error:
            path = sources.cell_folders[identity(record)]
            problems.append(RecordProblem(record_of(path), f"ignored because of its counts: {error}"))
    return found


def _choose(records: Sequence[Record], number: int) -> list[Folds]:
    """Return the folds of each kind of machine that has all of them; else those of all machines, the latest of each."""
    by_place: dict[Conditions, dict[int, Record]] = {}
    anywhere: dict[int, Record] = {}
    for record in sorted(records, key=lambda one: (-cell_spec.start_time(one), one.key)):
        fold = cell_spec.test_fold(record) or 0
        by_place.setdefault(read_conditions(record), {}).setdefault(fold, record)
        anywhere.setdefault(fold, record)
    return [folds for folds in by_place.values() if len(folds) == number] or [anywhere]


def _pool(folds: Folds, counts: Mapping[Identity, Counts | None]) -> PooledRecord:
    records = [folds[fold] for fold in sorted(folds)]
    read = [counts[identity(record)] for record in records]
    return pool(records, cell_spec.pooled_subset(records[0]), [one for one in read if one is not None])
