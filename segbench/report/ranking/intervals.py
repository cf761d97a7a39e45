"""What chance adds to the scores of a ranking: the interval of each row, its tier, and the draws behind both.

What intervals are computed from: the hits and unions of each image, from the counts beside each record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.errors import RecordError, StatisticsError
from segbench.report.records import identity
from segbench.stats.bootstrap import crossed_draws
from segbench.stats.difference import drawn_difference, drawn_estimate
from segbench.stats.evidence import Evidence, common_seeds, iou_evidence
from segbench.stats.verdict import drawn_tiers
from segbench.store.counts import COUNTS
from segbench.store.folder import RecordProblem

from .comparable import own_counts
from .rows import NO_STATISTICS, RowStatistics

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.report.records import Identity, Sources
    from segbench.stats.bootstrap import Draws
    from segbench.stats.difference import Difference, Estimate
    from segbench.store.record import Record

    from .rows import Row

    Seeds = tuple[int, ...]
    Cells = Mapping[str, Mapping[int, Evidence]]


Choice = TypeVar("Choice")


class Drawn:
    """The draws of the rows of one ranking, made once for each set of seeds that is asked for.

    `cells` is the evidence of each row by seed, under a name that no other row has; rows without evidence are not in
    it, and `missing` says why.
    """

    def __init__(self, cells: Cells, missing: Mapping[str, str]) -> None:
        self.cells = cells
        self.missing = missing
        self._made: dict[Seeds, Draws] = {}

    def estimate(self, name: str) -> Estimate:
        """Return the score of one row over all its seeds; StatisticsError if there is no evidence or too little."""
        self._check_is_there(name)
        return drawn_estimate(self._draws(tuple(sorted(self.cells[name]))), name)

    def difference(self, one: str, other: str) -> Difference:
        """Return the difference of two rows over their common seeds; StatisticsError as `estimate`."""
        for name in (one, other):
            self._check_is_there(name)
        pair = joined({name: self.cells[name] for name in (one, other)})
        return drawn_difference(self._draws(pair.seeds), one, other)

    def tiers(self, seeds: Seeds) -> dict[str, int]:
        """Return the tiers of the rows that have all of these seeds; StatisticsError as `estimate`."""
        return drawn_tiers(self._draws(seeds))

    def _check_is_there(self, name: str) -> None:
        if name not in self.cells:
            raise StatisticsError(f"{name}: {self.missing.get(name, 'nothing was counted')}")

    def _draws(self, seeds: Seeds) -> Draws:
        if seeds not in self._made:
            self._made[seeds] = crossed_draws(joined(_with_seeds(self.cells, seeds)))
        return self._made[seeds]


def unique_names(rows: Sequence[Row]) -> list[str]:
    """Return a name for each row of a ranking; two recipes of one method are told apart by a key."""
    number = Counter(row.method for row in rows)
    return [row.method if number[row.method] == 1 else f"{row.method} ({row.records[0].key})" for row in rows]


def drawn(rows: Sequence[Row], overlaps: Overlaps) -> Drawn:
    """Return the draws of a ranking's rows; those that were scored on other images than most take no part."""
    cells: dict[str, dict[int, Evidence]] = {}
    missing: dict[str, str] = {}
    for name, row in zip(unique_names(rows), rows, strict=True):
        found = {record.seed: cell for record in row.records if (cell := overlaps.of(record)) is not None}
        if without := [str(seed) for seed in row.seeds if seed not in found]:
            missing[name] = f"there are no counts of seed{'s' * (len(without) > 1)} {', '.join(without)}"
        else:
            cells[name] = found
    for name in _strangers(cells):
        del cells[name]
        missing[name] = "its images, their clusters or its classes are not those of the other rows"
    return Drawn(cells, missing)


def standings(rows: Sequence[Row], draws: Drawn) -> list[RowStatistics]:
    """Return the standing of each row of a ranking."""
    names = unique_names(rows)
    tier_of, tier_missing = _tiers(draws)
    return [_standing(name, row, draws, tier_of, tier_missing) for name, row in zip(names, rows, strict=True)]


def _standing(
    name: str, row: Row, draws: Drawn, tier_of: Mapping[str, int], tier_missing: Mapping[str, str]
) -> RowStatistics:
    if row.score("miou").n == 0:
        return NO_STATISTICS
    if name in draws.missing:
        return RowStatistics(interval_missing=draws.missing[name])
    try:
        return RowStatistics(draws.estimate(name), tier_of.get(name), tier_missing=tier_missing.get(name))
    except StatisticsError as error:
        return RowStatistics(interval_missing=str(error))


def _tiers(draws: Drawn) -> tuple[dict[str, int], dict[str, str]]:
    """Return the tiers of the rows that have the seeds that most rows have, and why others have none."""
    cells = draws.cells
    usual = _most_frequent(tuple(sorted(by_seed)) for by_seed in cells.values())
    if usual is None:
        return {}, {}
    taking_part = _with_seeds(cells, usual)
    without = [name for name in cells if name not in taking_part]
    reasons = dict.fromkeys(without, f"it lacks some of the seeds of most rows ({', '.join(map(str, usual))})")
    if len(usual) == 1:
        return {}, dict.fromkeys(cells, "one seed tells nothing of how seeds differ")
    try:
        return draws.tiers(usual), reasons
    except StatisticsError as error:
        return {}, reasons | dict.fromkeys(taking_part, str(error))


def _strangers(cells: Cells) -> list[str]:
    """Return the rows that were not scored on what most were scored on."""
    usual = _most_frequent(_scored_on(cell) for by_seed in cells.values() for cell in by_seed.values())
    return [name for name, by_seed in cells.items() if any(_scored_on(cell) != usual for cell in by_seed.values())]


def _scored_on(cell: Evidence) -> Hashable:
    return cell.images, cell.clusters, cell.num_classes


def _most_frequent(found: Iterable[Choice]) -> Choice | None:
    """Return what occurs most often; of several the largest, so that the order of the records changes nothing."""
    number = Counter(found)
    return max(number, key=lambda one: (number[one], str(one)), default=None)


def _with_seeds(cells: Cells, seeds: Seeds) -> dict[str, dict[int, Evidence]]:
    """Return the cells of some seeds, of the rows that have all of these."""
    return {
        name: {seed: by_seed[seed] for seed in seeds} for name, by_seed in cells.items() if by_seed.keys() >= set(seeds)
    }


class Overlaps(NamedTuple):
    """The evidence of one cell each, of the records that have counts, and the records that must not be used."""

    cells: Mapping[Identity, Evidence]
    damaged: Mapping[Identity, RecordProblem]

    def of(self, record: Record) -> Evidence | None:
        """Return the hits and unions of one record; None if it has no counts."""
        return self.cells.get(identity(record))


def read_overlaps(sources: Sources, records: Iterable[Record]) -> Overlaps:
    """Read the counts of records, each file once, and keep of each image only the sums that IoU needs.

    A record without counts is in neither part. One whose counts are damaged, do not add up to the pixels of its images,
    or are of other images, classes or scores than its own is in `damaged`.
    """
    cells: dict[Identity, Evidence] = {}
    damaged: dict[Identity, RecordProblem] = {}
    for record in records:
        folder = sources.cell_folders.get(identity(record))
        if folder is None or not (folder / COUNTS).is_file():
            continue
        try:
            cells[identity(record)] = iou_evidence({record.method: {record.seed: own_counts(record, sources)}})
        except (RecordError, StatisticsError) as error:
            damaged[identity(record)] = RecordProblem(_record_path(folder), f"set aside for its counts: {error}")
    return Overlaps(cells, damaged)


def joined(cells: Mapping[str, Mapping[int, Evidence]]) -> Evidence:
    """Put the evidence of single cells together, of several methods by seed; only seeds that all have are taken.

    Raises StatisticsError if there is no common seed, or if images, clusters or classes differ.
    """
    import numpy as np

    seeds = common_seeds(cells)
    used = {method: [by_seed[seed] for seed in seeds] for method, by_seed in cells.items()}
    (first_name, (first, *_)), *_ = used.items()
    for name, found in used.items():
        for cell in found:
            _check_fits(first_name, first, name, cell)
    hits = np.stack([np.concatenate([cell.hits[0] for cell in found]) for found in used.values()])
    whole = np.stack([np.concatenate([cell.whole[0] for cell in found]) for found in used.values()])
    return replace(first, methods=tuple(used), seeds=seeds, hits=hits, whole=whole)


def _check_fits(first_name: str, first: Evidence, name: str, cell: Evidence) -> None:
    for what in ("images", "clusters", "num_classes"):
        if getattr(cell, what) != getattr(first, what):
            raise StatisticsError(f"{first_name} and {name} were scored on different {what.removeprefix('num_')}")


def _record_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")
