"""What chance adds to the scores of a ranking: the interval of each row, its tier, and the draws behind both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.errors import StatisticsError
from segbench.stats.bootstrap import crossed_draws
from segbench.stats.difference import drawn_difference, drawn_estimate
from segbench.stats.intervals import Interval
from segbench.stats.tiers import drawn_tiers

from .overlaps import joined

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from segbench.stats.bootstrap import Draws
    from segbench.stats.difference import Difference, Estimate
    from segbench.stats.evidence import Evidence

    from .overlaps import Overlaps
    from .rows import Row

    Seeds = tuple[int, ...]
    Cells = Mapping[str, Mapping[int, Evidence]]

Choice = TypeVar("Choice")

LEVEL = 0.95


class Standing(NamedTuple):
    """A row's mIoU with what chance adds to it, and its tier, 1 the best; None where it cannot be told.

    `missing` says why there is no interval, `untiered` why there is no tier.
    """

    estimate: Estimate | None = None
    tier: int | None = None
    missing: str | None = None
    untiered: str | None = None

    @property
    def interval(self) -> Interval | None:
        """The interval of the mIoU at LEVEL, cut where no mIoU can be."""
        if self.estimate is None:
            return None
        low, high = self.estimate.interval(LEVEL)
        return Interval(max(low, 0.0), min(high, 1.0))

    @property
    def is_over_images_only(self) -> bool:
        """Whether there is one seed only, so that nothing is known of how seeds differ."""
        return self.estimate is not None and self.estimate.seeds == 1


UNKNOWN = Standing()


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


def standings(rows: Sequence[Row], draws: Drawn) -> list[Standing]:
    """Return the standing of each row of a ranking."""
    names = unique_names(rows)
    tier_of, untiered = _tiers(draws)
    return [_standing(name, row, draws, tier_of, untiered) for name, row in zip(names, rows, strict=True)]


def _standing(name: str, row: Row, draws: Drawn, tier_of: Mapping[str, int], untiered: Mapping[str, str]) -> Standing:
    if row.score("miou").n == 0:
        return UNKNOWN
    if name in draws.missing:
        return Standing(missing=draws.missing[name])
    try:
        return Standing(draws.estimate(name), tier_of.get(name), untiered=untiered.get(name))
    except StatisticsError as error:
        return Standing(missing=str(error))


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
