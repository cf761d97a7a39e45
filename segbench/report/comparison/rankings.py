"""The rankings in which two methods both have a row, and why they must not be compared in others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError, StatisticsError, alternatives
from segbench.report import cell_spec
from segbench.report.numbers import name_seeds
from segbench.report.ranking.comparable import explain_refusal, find_obstacles
from segbench.report.records import describe_cause, identity
from segbench.report.selection import LATEST, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row
    from segbench.report.records import Identity, Sources
    from segbench.report.selection import Selector
    from segbench.store.record import Record

    Identities = frozenset[Identity]


class SharedRanking(NamedTuple):
    """A ranking and the rows of A and of B in it, which may be compared."""

    group: Group
    one: Row
    other: Row


def narrow(sources: Sources, dataset: str | None, subset: str | None) -> Sources:
    """Return the records of one dataset and one share of the labels; RecordError if there are none."""
    _check_is_there("dataset", dataset, sorted({record.dataset for record in sources.records}))
    _check_is_there("subset", subset, sorted({record.subset for record in sources.records}))
    wanted = [
        record for record in sources.records if dataset in (None, record.dataset) and subset in (None, record.subset)
    ]
    return replace(sources, records=tuple(wanted))


def find_rankings(
    sources: Sources, groups: Sequence[Group], one: Selector, other: Selector
) -> tuple[list[SharedRanking], list[str]]:
    """Return the rankings in which both methods have a row, and why they must not be compared in others.

    Raises RecordError if one of the names is unknown or has no result, or both are the same; StatisticsError, naming
    the fields in which they differ, if there is no ranking in which they may be compared.
    """
    if one == other:
        raise RecordError(f"{one.method!r} cannot be compared with itself; name two methods, or two of its recipes")
    for selector in (one, other):
        _check_has_result(sources, groups, selector.method)
    meant = [select(sources, selector) for selector in (one, other)]
    shared, refused = [], []
    for group in groups:
        ours, theirs = (_rows(group, identities) for identities in meant)
        if ours and theirs:
            reason = _reason(ours, theirs)
            refused += [reason] if reason else []
            shared += [] if reason else [SharedRanking(group, ours[0], theirs[0])]
    if not shared:
        raise StatisticsError("; ".join(refused) or _why_in_no_common_ranking(groups, *meant))
    return shared, refused


def describe_failures(sources: Sources, group: Group, method: str) -> list[str]:
    """Return what happened to a method's cells that left no result for the data of a ranking."""
    data = group.data

    def is_meant(record: Record) -> bool:
        own = record.benchmark, record.dataset, cell_spec.pooled_subset(record), record.method
        return own == (data.benchmark, data.dataset, data.subset, method)

    lost = filter(is_meant, sources.without_result)
    lacking = (str(one) for one in sources.incomplete if is_meant(one.record))
    return [*(f"{method}, {line}" for line in _causes(list(lost))), *lacking]


def _reason(ours: Sequence[Row], theirs: Sequence[Row]) -> str | None:
    """Return why the rows of two methods in one ranking must not be compared."""
    for rows in (ours, theirs):
        if len(rows) > 1:
            return _several_recipes(rows)
    if ours == theirs:
        return f"both are {ours[0].name!r}, and a recipe cannot be compared with itself"
    found = find_obstacles(ours[0], theirs[0])
    return explain_refusal(ours[0], theirs[0], found) if found else None


def _several_recipes(rows: Sequence[Row]) -> str:
    name = rows[0].method
    return f"{name!r} is the name of {len(rows)} recipes: write {name}@{LATEST}, {name}=DIR or one of these:" + "".join(
        f"\n  {row.recipe}" for row in rows
    )


def _why_in_no_common_ranking(groups: Sequence[Group], one: Identities, other: Identities) -> str:
    """Name the fields in which the two rows differ that come nearest to each other."""
    ours, theirs = ([row for group in groups for row in _rows(group, meant)] for meant in (one, other))
    candidates = [(mine, yours, find_obstacles(mine, yours)) for mine in ours for yours in theirs]
    mine, yours, found = min(candidates, key=lambda candidate: len(candidate[2]))
    if found:
        return explain_refusal(mine, yours, found)
    return f"{mine.method!r} and {yours.method!r} are in no common ranking; see `segbench report`"


def _rows(group: Group, meant: Identities) -> list[Row]:
    return [row for row in group.rows if any(identity(record) in meant for record in row.records)]


def _check_has_result(sources: Sources, groups: Sequence[Group], name: str) -> None:
    rows = [row for group in groups for row in group.rows if row.method == name]
    if rows and all(row.generates_images for row in rows):
        raise RecordError(f"{name!r} makes images, not label maps, so it has no mIoU; compare methods that segment")
    if rows:
        return
    if lost := [record for record in sources.without_result if record.method == name]:
        causes = "; ".join(dict.fromkeys(_causes(lost)))
        raise RecordError(f"{name!r} has no result ({causes}); remove the cause and run the benchmark again")
    if lacking := [str(one) for one in sources.incomplete if one.record.method == name]:
        raise RecordError(f"{name!r} has no result: {'; '.join(lacking)}; run the benchmark again to have them")
    if any(record.method == name for record in sources.auxiliary):
        raise RecordError(
            f"all cells of {name!r} only serve other methods (folds, trials of tuning, labels it does not list), "
            "so it is in no ranking; compare methods that `segbench report` lists"
        )
    names = sorted({record.method for record in sources.records})
    folders = ", ".join(str(folder) for folder in sources.folders)
    raise RecordError(f"no record of a method {name!r} in {folders}.{alternatives(name, names)}").among(names)


def _causes(lost: Sequence[Record]) -> list[str]:
    """Say why cells have no result, those of one cause together."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in lost:
        seeds.setdefault((record.status, describe_cause(record)), []).append(record.seed)
    return [f"{name_seeds(sorted(found))} {status}: {cause}" for (status, cause), found in seeds.items()]


def _check_is_there(what: str, wanted: str | None, known: list[str]) -> None:
    if wanted is not None and wanted not in known:
        raise RecordError(f"no record of {what} {wanted!r}.{alternatives(wanted, known)}").among(known)
