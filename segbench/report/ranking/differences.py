"""Methods beside those they must be compared with: their twins, others that claims name, and their placebos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from segbench.errors import StatisticsError
from segbench.stats.summary import Interval, Summary, summarize
from segbench.stats.verdict import judge

from .intervals import unique_names
from .timings import speed_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.stats.difference import Difference
    from segbench.stats.timing import Ratio
    from segbench.stats.verdict import Judgement

    from .intervals import Drawn
    from .rows import Row


Relation = Literal["twin", "claim", "placebo", "none"]


@dataclass(frozen=True)
class Comparison:
    """A row of a ranking beside another one, and what may be said of their difference of mIoU.

    `relation` tells why: the other is the row's twin, one that a claim compares it with, or its placebo, so that the
    difference is what is left of the gain; "none" of a row that has a critic and nothing to be compared with.
    `other` is None if the method `other_name` has no row in the ranking, or several that differ in recipe.
    `judgement` is None where the counts allow none, and `missing` says why.
    """

    row: Row
    other_name: str | None
    relation: Relation
    other: Row | None = None
    judgement: Judgement | None = None
    missing: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that both rows have an mIoU of."""
        return tuple(self._by_seed())

    @property
    def miou(self) -> Summary:
        """The differences of mIoU, in [-1, 1], over the seeds in common."""
        return summarize(self._by_seed().values())

    @property
    def interval(self) -> Interval | None:
        """The interval of the judgement, cut where no difference of mIoU can be."""
        if self.judgement is None:
            return None
        low, high = self.judgement.interval
        return Interval(max(low, -1.0), min(high, 1.0))

    @property
    def is_over_images_only(self) -> bool:
        """Whether the interval knows one seed only, and so nothing of how seeds differ."""
        return self.judgement is not None and self.judgement.difference.seeds == 1

    @property
    def time_ratio(self) -> float | None:
        """Seconds of training as a multiple of the other's, over the seeds in common."""
        if self.other is None:
            return None
        own, others = _train_seconds(self.row), _train_seconds(self.other)
        seeds = own.keys() & others.keys()
        total = sum(others[seed] for seed in seeds)
        return sum(own[seed] for seed in seeds) / total if total > 0 else None

    def speed_ratio(self, batch: int) -> Ratio | None:
        """Return how many times as fast as the other's the forward pass is; None if they were not timed in turn."""
        return speed_ratio(self.row.speed, self.other.speed, "forward", batch) if self.other else None

    def _by_seed(self) -> dict[int, float]:
        own, others = self.row.by_seed("miou"), self.other.by_seed("miou") if self.other else {}
        return {seed: own[seed] - others[seed] for seed in sorted(own.keys() & others.keys())}


def compare_rows(rows: Sequence[Row], draws: Drawn) -> tuple[Comparison, ...]:
    """Return what the rows of a ranking are compared with: best first, each followed by its placebos.

    All of them are one family: verdicts hold for all at once.
    """
    found = [comparison for row in _compared(rows) for comparison in _pairs(row, rows)]
    names = {id(row): name for name, row in zip(unique_names(rows), rows, strict=True)}
    differences: dict[int, Difference] = {}
    missing: dict[int, str] = {}
    for place, one in enumerate(found):
        if one.other is None:
            continue
        try:
            differences[place] = draws.difference(names[id(one.row)], names[id(one.other)])
        except StatisticsError as error:
            missing[place] = str(error)
    judged = judge(differences) if differences else {}
    return tuple(
        replace(one, judgement=judged.get(place), missing=missing.get(place)) for place, one in enumerate(found)
    )


def comparison_with_twin(found: Iterable[Comparison], row: Row) -> Comparison | None:
    """Return the comparison of a row with its twin."""
    return next((one for one in found if one.row is row and one.relation == "twin" and one.other), None)


def _compared(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that have something to be compared with, or a critic."""
    place = {row.method: i for i, row in reversed(list(enumerate(rows)))}
    compared = [row for row in rows if (row.twin or row.against or row.verdicts) and not row.generates_images]

    def order(row: Row) -> tuple[int, bool, str]:
        return place.get(row.placebo_of or row.method, len(place)), row.placebo_of is not None, row.method

    return sorted(compared, key=order)


def _pairs(row: Row, rows: Sequence[Row]) -> Iterable[Comparison]:
    relations: dict[str, Relation] = {row.twin: "twin"} if row.twin else {}
    relations |= {name: "claim" for name in row.against if name != row.twin}
    placebos = [other.method for other in rows if other.placebo_of == row.method]
    relations |= dict.fromkeys(sorted(set(placebos)), "placebo")
    for name, relation in relations.items():
        yield Comparison(row, name, relation, _only_row(name, rows))
    if not relations:
        yield Comparison(row, None, "none")


def _only_row(method: str, rows: Sequence[Row]) -> Row | None:
    named = [row for row in rows if row.method == method and not row.scored_only]
    return named[0] if len(named) == 1 else None


def _train_seconds(row: Row) -> dict[int, float]:
    return {record.seed: record.train.seconds for record in row.records if record.train}
