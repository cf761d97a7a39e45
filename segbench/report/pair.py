"""Two methods by their names, as rows of the rankings in which both stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from segbench.errors import RecordError, StatisticsError, nearest

from .comparable import obstacles, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.store.record import Record

    from .groups import Group, Report
    from .rows import Row


@dataclass(frozen=True)
class Pair:
    """Two rows of one ranking that may be compared."""

    group: Group
    one: Row
    other: Row


def narrowed(report: Report, dataset: str | None, subset: str | None) -> Report:
    """Return what a report holds of one dataset and one share of the labels; RecordError if there is nothing."""
    records = _records(report)
    _check_is_there("dataset", dataset, sorted({record.dataset for record in records}))
    _check_is_there("subset", subset, sorted({record.subset for record in records}))

    def wanted(record: Record) -> bool:
        return dataset in (None, record.dataset) and subset in (None, record.subset)

    return replace(
        report,
        groups=tuple(group for group in report.groups if wanted(group.rows[0].records[0])),
        helpers=tuple(filter(wanted, report.helpers)),
        without_result=tuple(filter(wanted, report.without_result)),
    )


def find_pairs(report: Report, one: str, other: str) -> tuple[list[Pair], list[str]]:
    """Return the rankings in which both methods stand, and why they are not to be compared in others.

    Raises RecordError if one of the names is unknown or has no result, or both are the same; StatisticsError, naming
    the fields in which they differ, if there is no ranking in which they may be compared.
    """
    if one == other:
        raise RecordError(f"{one!r} cannot be compared with itself; name two methods")
    for name in (one, other):
        _check_has_result(report, name)
    pairs, refused = [], []
    for group in report.groups:
        ours, theirs = _rows(group, one), _rows(group, other)
        if ours and theirs:
            reason = _reason(ours, theirs)
            refused += [reason] if reason else []
            pairs += [] if reason else [Pair(group, ours[0], theirs[0])]
    if not pairs:
        raise StatisticsError("; ".join(refused) or _why_in_no_common_ranking(report, one, other))
    return pairs, refused


def failures_of(report: Report, group: Group, method: str) -> list[str]:
    """Return what became of a method's cells that left no result for the data of a ranking."""
    data = group.data
    lost = [
        record
        for record in report.without_result
        if (record.benchmark, record.dataset, record.subset, record.method)
        == (data.benchmark, data.dataset, data.subset, method)
    ]
    return [f"{method}, {line}" for line in _causes(lost)]


def _reason(ours: Sequence[Row], theirs: Sequence[Row]) -> str | None:
    """Return why the rows of two methods in one ranking must not be compared."""
    for rows in (ours, theirs):
        if len(rows) > 1:
            return _several_recipes(rows)
    found = obstacles(ours[0], theirs[0])
    return refusal(ours[0], theirs[0], found) if found else None


def _several_recipes(rows: Sequence[Row]) -> str:
    told = "; ".join(f"{', '.join(record.key for record in row.records)}: {_what_it_is(row)}" for row in rows)
    return (
        f"{rows[0].method!r} is the name of {len(rows)} rows of one ranking ({told}); "
        "keep the records of one of them, or move the others to a folder of their own"
    )


def _what_it_is(row: Row) -> str:
    return "label maps made elsewhere" if row.scored_only else next(iter(row.notes), "no difference known")


def _why_in_no_common_ranking(report: Report, one: str, other: str) -> str:
    """Name the fields in which the two rows differ that come nearest to each other."""
    ours, theirs = ([row for group in report.groups for row in _rows(group, name)] for name in (one, other))
    candidates = [(mine, yours, obstacles(mine, yours)) for mine in ours for yours in theirs]
    mine, yours, found = min(candidates, key=lambda candidate: len(candidate[2]))
    if found:
        return refusal(mine, yours, found)
    return f"{one!r} and {other!r} stand in no common ranking; see `segbench report`"


def _rows(group: Group, method: str) -> list[Row]:
    return [row for row in group.rows if row.method == method]


def _check_has_result(report: Report, method: str) -> None:
    rows = [row for group in report.groups for row in _rows(group, method)]
    if rows and all(row.generates_images for row in rows):
        raise RecordError(f"{method!r} makes images, not label maps, so there is no mIoU to compare; name a segmenter")
    if rows:
        return
    lost = [record for record in report.without_result if record.method == method]
    if lost:
        causes = "; ".join(dict.fromkeys(_causes(lost)))
        raise RecordError(f"{method!r} has no result to compare ({causes}); mend that and run the benchmark again")
    if any(record.method == method for record in report.helpers):
        raise RecordError(
            f"the cells of {method!r} only served others (folds, trials, shares of labels nobody asked for), "
            "so it stands in no ranking; compare methods that `segbench report` lists"
        )
    names = sorted({record.method for record in _records(report)})
    folders = ", ".join(str(folder) for folder in report.folders)
    raise RecordError(
        f"no record of a method {method!r} in {folders}; there are: {', '.join(names)}.{nearest(method, names)}"
    )


def _causes(lost: Sequence[Record]) -> list[str]:
    """Say what became of cells without a result, those of one cause together."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in lost:
        seeds.setdefault((record.status, _cause(record)), []).append(record.seed)
    return [
        f"seed{'s' * (len(found) > 1)} {', '.join(map(str, sorted(found)))} {status}: {cause}"
        for (status, cause), found in seeds.items()
    ]


def _cause(record: Record) -> str:
    if record.error is None:
        return "no cause recorded"
    plugin = f" (plugin {record.error.plugin})" if record.error.plugin else ""
    return " ".join(record.error.cause.split()) + plugin


def _records(report: Report) -> list[Record]:
    ranked: Iterable[Record] = (record for group in report.groups for row in group.rows for record in row.records)
    return [*ranked, *report.helpers, *report.without_result]


def _check_is_there(what: str, wanted: str | None, known: list[str]) -> None:
    if wanted is not None and wanted not in known:
        raise RecordError(
            f"no record of {what} {wanted!r}; there are: {', '.join(map(repr, known))}.{nearest(wanted, known)}"
        )
