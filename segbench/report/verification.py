"""Which recorded cells are run again to verify them, and what the marks of those that were say in a report."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.errors import RecordError, alternatives
from segbench.store.verification import read_verification

from . import cell_spec
from .folds import folds_of
from .records import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from segbench.store.folder import RecordProblem
    from segbench.store.record import Record
    from segbench.store.verification import Verification

    from .ranking.groups import Group
    from .ranking.rows import Row
    from .records import Identity, Sources

    Marks = Mapping[Identity, Verification]


def choose_records(sources: Sources, cells: int | None, method: str | None, seed: int) -> list[Record]:
    """Return so many of the ranked records that were trained, or all, by a draw with a seed; of one method if named.

    No method has two of them before each has one. The draw does not depend on the order of folders. Raises RecordError
    if there is no such record.
    """
    trained = [record for record in sources.ranked if not cell_spec.is_scored_only(record)]
    found = [record for record in trained if method in (None, record.method)]
    if not found:
        if method is None:
            raise RecordError("there is no finished cell that was trained, so nothing can be verified")
        names = sorted({record.method for record in trained})
        raise RecordError(f"no finished cell of a method {method!r}.{alternatives(method, names)}").among(names)
    in_order = sorted(found, key=lambda record: repr(identity(record)))
    drawn = _spread_over_methods(random.Random(seed).sample(in_order, len(in_order)))
    chosen = set(map(identity, drawn[:cells]))
    return [record for record in found if identity(record) in chosen]


def _spread_over_methods(records: Iterable[Record]) -> list[Record]:
    """Return records in an order in which the first of each method come first, then the second of each."""
    found: dict[tuple[str, ...], int] = {}
    turns = []
    for record in records:
        method = (record.benchmark, record.dataset, record.method)
        found[method] = found.get(method, 0) + 1
        turns.append((found[method], record))
    return [record for _, record in sorted(turns, key=lambda turn: turn[0])]


def other_seeds(sources: Sources, record: Record) -> list[list[Record]]:
    """Return the finished records of a record's recipe on its data with other seeds, by the test fold, one of each."""
    found: dict[int | None, dict[int, Record]] = {}
    for one in sources.ranked:
        if one.method == record.method and _recipe_and_data(one) == _recipe_and_data(record):
            found.setdefault(cell_spec.test_fold(one), {})[one.seed] = one
    found.get(cell_spec.test_fold(record), {}).pop(record.seed, None)
    return [list(seeds.values()) for seeds in found.values()]


def read_marks(sources: Sources) -> tuple[Marks, list[RecordProblem]]:
    """Return the marks of the ranked records that were verified, and those that cannot be read."""
    from segbench.store.folder import RecordProblem

    marks: dict[Identity, Verification] = {}
    problems = []
    for record in (one for ranked in sources.ranked for one in folds_of(ranked)):
        folder = sources.cell_folders.get(identity(record))
        if folder is None:
            continue
        try:
            if (mark := read_verification(folder, record)) is not None:
                marks[identity(record)] = mark
        except RecordError as error:
            problems.append(RecordProblem(folder, str(error)))
    return marks, problems


def note_marks(groups: Iterable[Group], marks: Marks) -> tuple[Group, ...]:
    """Return the rankings with a note on each row of which seeds were verified."""

    def note(row: Row) -> Row:
        return replace(row, notes=(*row.notes, *describe_marks(row.records, marks)))

    return tuple(replace(group, rows=tuple(map(note, group.rows))) for group in groups) if marks else tuple(groups)


def describe_marks(records: Iterable[Record], marks: Marks) -> list[str]:
    """Say of the records of a row which were run again, when, and how they came out; nothing if none was."""
    listed = [one for record in records for one in folds_of(record)]
    found = [(_name(record), marks[identity(record)]) for record in listed if identity(record) in marks]
    if not found:
        return []
    told = ", ".join(f"{name} {_OUTCOMES[mark.outcome]} ({mark.date[:10]})" for name, mark in found)
    what = "seeds" if cell_spec.test_fold(listed[0]) is None else "cells"
    return [f"verified by running again, {len(found)} of {len(listed)} {what}: {told}"]


def _name(record: Record) -> str:
    fold = cell_spec.test_fold(record)
    return f"seed {record.seed}{'' if fold is None else f' test fold {fold}'}"


_OUTCOMES = {
    "same bits": "reproduced, same bits",
    "within seeds": "reproduced within its seeds",
    "undecided": "undecided",
    "not reproduced": "NOT reproduced",
}


def _recipe_and_data(record: Record) -> tuple[object, ...]:
    subset, recipe = cell_spec.pooled_subset(record), cell_spec.recipe_text(record)
    return record.benchmark, record.dataset, subset, cell_spec.fingerprint(record), cell_spec.split(record), recipe
