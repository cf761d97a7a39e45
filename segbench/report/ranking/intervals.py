"""Confidence intervals and significance tiers of a ranking's rows, from the counts beside their records.

The evidence of a cell is the hits and unions of each of its images. Images and seeds are drawn once for all rows that
have the same seeds, so that every interval, tier and difference of a ranking comes from the same draws.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.errors import RecordError, StatisticsError
from segbench.report.numbers import name_seeds
from segbench.report.records import identity
from segbench.stats.bootstrap import RESAMPLES
from segbench.stats.evidence import Evidence, common_seeds, iou_evidence
from segbench.stats.health import find_constant_class
from segbench.stats.measured import measure
from segbench.stats.summary import CONFIDENCE_LEVEL
from segbench.stats.verdict import EQUIVALENCE_MARGIN, decide_pairs, find_tiers
from segbench.store.counts import has_counts
from segbench.store.folder import RecordProblem, record_of

from .comparable import check_own
from .rows import RowStatistics

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.report.records import Identity, Sources
    from segbench.stats.difference import Difference, Estimate
    from segbench.stats.health import ConstantClass
    from segbench.stats.measured import Measured, Pair
    from segbench.stats.verdict import Decision
    from segbench.store.record import Record

    Seeds = tuple[int, ...]
    Decided = Mapping[Pair, Decision]
    Cells = Mapping[str, Mapping[int, Evidence]]


Choice = TypeVar("Choice")


class CellEvidence(NamedTuple):
    """The evidence of each record that has counts, the records whose counts are damaged, and constant predictions.

    `constant` holds the class of each record that predicts one class everywhere.
    """

    cells: Mapping[Identity, Evidence]
    damaged: Mapping[Identity, RecordProblem]
    constant: Mapping[Identity, ConstantClass]

    def by_seed(self, records: Iterable[Record]) -> dict[int, Evidence]:
        """Return the evidence of records by seed, of those that have counts."""
        found = {record.seed: self.cells.get(identity(record)) for record in records}
        return {seed: cell for seed, cell in found.items() if cell is not None}

    def constant_by_seed(self, records: Iterable[Record]) -> dict[int, ConstantClass]:
        """Return the class of each seed of some records that predicts one class everywhere."""
        found = {record.seed: self.constant.get(identity(record)) for record in records}
        return {seed: one for seed, one in found.items() if one is not None}


NO_EVIDENCE = CellEvidence({}, {}, {})


def read_evidence(sources: Sources, records: Iterable[Record]) -> CellEvidence:
    """Read the counts of records, each file once, and keep of each image only the sums that IoU needs.

    A record without counts is in neither part. One whose counts are damaged, do not add up to the pixels of its images,
    or are of other images, classes or scores than its own is in `damaged`.
    """
    cells: dict[Identity, Evidence] = {}
    damaged: dict[Identity, RecordProblem] = {}
    constant: dict[Identity, ConstantClass] = {}
    images: dict[tuple[str, ...], tuple[str, ...]] = {}  # equal names are kept once for all records
    named = ((identity(record), record) for record in records)
    counted = {own: record for own, record in named if _has_counts(sources.cell_folders.get(own))}
    for (own, record), found_counts in zip(counted.items(), sources.confusions(counted.values()), strict=True):
        try:
            counts = check_own(record, found_counts)
            cell = iou_evidence({record.method: {record.seed: counts}})
            cells[own] = replace(cell, images=images.setdefault(cell.images, cell.images))
            if found := find_constant_class(counts.confusion.sum(axis=0)):
                constant[own] = found
        except (RecordError, StatisticsError) as error:
            path = record_of(sources.cell_folders[own])
            damaged[own] = RecordProblem(path, f"ignored because of its counts: {error}")
    return CellEvidence(cells, damaged, constant)


def _has_counts(folder: Path | None) -> bool:
    return folder is not None and has_counts(folder)


class RankingDraws:
    """The draws of images and seeds for the rows of one ranking, made once for each set of seeds that is asked for.

    `cells` is the evidence of each row by its name and by seed; rows without evidence are not in it, and `missing` says
    why. `pairs` are the rows by name whose differences may be asked for.
    """

    def __init__(
        self, cells: Cells, missing: Mapping[str, str], pairs: Collection[Pair] = (), resamples: int = RESAMPLES
    ) -> None:
        self.cells = cells
        self.missing = missing
        self._pairs = tuple(pair for pair in dict.fromkeys(pairs) if all(name in cells for name in pair))
        self._resamples = resamples
        self._made: dict[Seeds, Measured] = {}
        self._decided: dict[tuple[float, float], Decided] = {}
        self.usual_seeds = _most_frequent(tuple(sorted(by_seed)) for by_seed in cells.values())

    def estimate(self, name: str) -> Estimate:
        """Return the score of one row over all its seeds; StatisticsError if there is no evidence or too little."""
        self._check_is_there(name)
        return self._measure(tuple(sorted(self.cells[name]))).estimate(name)

    def difference(self, one: str, other: str, seeds: Seeds | None = None) -> Difference:
        """Return the difference of two rows over some seeds, or over all in common; StatisticsError as `estimate`."""
        for name in (one, other):
            self._check_is_there(name)
        common = common_seeds({name: self.cells[name] for name in (one, other)})
        return self._measure(seeds or common).difference(one, other)

    def decide_pairs(self, margin: float = EQUIVALENCE_MARGIN, level: float = CONFIDENCE_LEVEL) -> Decided:
        """Decide all pairs of the rows that have the usual seeds as one family; StatisticsError as `estimate`.

        There is none where most rows have one seed.
        """
        if self.usual_seeds is None or len(self.usual_seeds) == 1:
            return {}
        if (margin, level) not in self._decided:
            self._decided[margin, level] = decide_pairs(self._measure(self.usual_seeds), margin=margin, level=level)
        return self._decided[margin, level]

    def tiers(self) -> dict[str, int]:
        """Return the tiers of the rows that have the usual seeds; StatisticsError as `estimate`."""
        return find_tiers(self._measure(self.usual_seeds or ()), self.decide_pairs())

    def _check_is_there(self, name: str) -> None:
        if name not in self.cells:
            raise StatisticsError(f"{name}: {self.missing.get(name, 'nothing was counted')}")

    def _measure(self, seeds: Seeds) -> Measured:
        """Measure all rows that have some seeds, and the pairs of these."""
        if seeds not in self._made:
            cells = _with_seeds(self.cells, seeds)
            pairs = [pair for pair in self._pairs if cells.keys() >= set(pair)]
            self._made[seeds] = measure(join(cells), pairs, resamples=self._resamples)
        return self._made[seeds]


def draw_ranking(
    rows: Mapping[str, Sequence[Record]],
    evidence: CellEvidence,
    pairs: Collection[Pair] = (),
    resamples: int = RESAMPLES,
) -> RankingDraws:
    """Return the draws of a ranking, from the records of its rows by name; `pairs` as for RankingDraws.

    Rows that were scored on other images than most take no part, nor do those without counts of all seeds.
    """
    cells: dict[str, dict[int, Evidence]] = {}
    missing: dict[str, str] = {}
    for name, records in rows.items():
        found = evidence.by_seed(records)
        if without := [record.seed for record in records if record.seed not in found]:
            missing[name] = f"there are no counts of {name_seeds(without)}"
        else:
            cells[name] = found
    for name in _scored_on_other_images(cells):
        del cells[name]
        missing[name] = "its images, their clusters or its classes are not those of the other rows"
    return RankingDraws(cells, missing, pairs, resamples)


def measure_rows(draws: RankingDraws) -> dict[str, RowStatistics]:
    """Return interval and tier of each row of a ranking by its name, or the reasons why there are none."""
    tier_of, tier_missing = _find_tiers(draws)
    found = {name: RowStatistics(interval_missing=reason) for name, reason in draws.missing.items()}
    for name in draws.cells:
        try:
            found[name] = RowStatistics(draws.estimate(name), tier_of.get(name), tier_missing=tier_missing.get(name))
        except StatisticsError as error:
            found[name] = RowStatistics(interval_missing=str(error))
    return found


def _find_tiers(draws: RankingDraws) -> tuple[dict[str, int], dict[str, str]]:
    """Return the tiers of the rows that have the seeds that most rows have, and why others have none."""
    cells, usual = draws.cells, draws.usual_seeds
    if usual is None:
        return {}, {}
    taking_part = _with_seeds(cells, usual)
    without = [name for name in cells if name not in taking_part]
    reasons = dict.fromkeys(without, f"it lacks some of the seeds of most rows ({', '.join(map(str, usual))})")
    if len(usual) == 1:
        return {}, dict.fromkeys(cells, "with one seed, the variation between seeds is unknown")
    try:
        return draws.tiers(), reasons
    except StatisticsError as error:
        return {}, reasons | dict.fromkeys(taking_part, str(error))


def _scored_on_other_images(cells: Cells) -> list[str]:
    """Return the rows that were not scored on what most were scored on."""
    usual = _most_frequent(_scored_on(cell) for by_seed in cells.values() for cell in by_seed.values())
    return [name for name, by_seed in cells.items() if any(_scored_on(cell) != usual for cell in by_seed.values())]


def _scored_on(cell: Evidence) -> Hashable:
    return cell.images, cell.clusters, cell.folds, cell.num_classes


def _most_frequent(found: Iterable[Choice]) -> Choice | None:
    """Return what occurs most often; of several the largest, so that the order of the records changes nothing."""
    number = Counter(found)
    return max(number, key=lambda one: (number[one], str(one)), default=None)


def _with_seeds(cells: Cells, seeds: Seeds) -> dict[str, dict[int, Evidence]]:
    """Return the cells of some seeds, of the rows that have all of these."""
    return {
        name: {seed: by_seed[seed] for seed in seeds} for name, by_seed in cells.items() if by_seed.keys() >= set(seeds)
    }


def join(cells: Cells) -> Evidence:
    """Put the evidence of single cells together, of several methods by seed; only seeds that all have are taken.

    Raises StatisticsError if there is no common seed, or if images, clusters or classes differ.
    """
    import numpy as np

    seeds = common_seeds(cells)
    taken = {method: [by_seed[seed] for seed in seeds] for method, by_seed in cells.items()}
    (first_name, (first, *_)), *_ = taken.items()
    hits = np.empty((len(taken), len(seeds), *first.hits.shape[2:]), dtype=np.int64)
    whole = np.empty_like(hits)
    for place, (name, found) in enumerate(taken.items()):
        for number, cell in enumerate(found):
            _check_fits(first_name, first, name, cell)
            hits[place, number], whole[place, number] = cell.hits[0, 0], cell.whole[0, 0]
    return replace(first, methods=tuple(taken), seeds=seeds, hits=hits, whole=whole)


def _check_fits(first_name: str, first: Evidence, name: str, cell: Evidence) -> None:
    for what in ("images", "clusters", "folds", "num_classes"):
        if getattr(cell, what) != getattr(first, what):
            raise StatisticsError(f"{first_name} and {name} were scored on different {what.removeprefix('num_')}")
