"""Methods beside their twins: what is compared with what, seed by seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.stats.paired import Paired, paired

if TYPE_CHECKING:
    from .groups import Group
    from .rows import Row


@dataclass(frozen=True)
class Comparison:
    """A row, its twin's row, and the differences of mIoU over the seeds in common, in [-1, 1].

    `twin` is None if the row names none, if that has no row in the same ranking, or several that differ in recipe.
    """

    row: Row
    twin: Row | None
    miou: Paired

    @property
    def time_ratio(self) -> float | None:
        """Seconds of training as a multiple of the twin's, over the seeds in common."""
        if self.twin is None:
            return None
        own, other = _train_seconds(self.row), _train_seconds(self.twin)
        seeds = own.keys() & other.keys()
        total = sum(other[seed] for seed in seeds)
        return sum(own[seed] for seed in seeds) / total if total > 0 else None


def comparisons(group: Group) -> list[Comparison]:
    """Return the rows of a ranking that have a twin or a critic, best first, each followed by its placebos."""
    place = {row.method: i for i, row in reversed(list(enumerate(group.rows)))}
    rows = [row for row in group.rows if (row.twin or row.verdicts) and not row.generates_images]

    def order(row: Row) -> tuple[int, bool, str]:
        return place.get(row.placebo_of or row.method, len(place)), row.placebo_of is not None, row.method

    return [compare(row, group) for row in sorted(rows, key=order)]


def compare(row: Row, group: Group) -> Comparison:
    """Return a row beside its twin's in the same ranking."""
    named = [other for other in group.rows if other.method == row.twin and not other.scored_only]
    if row.twin is None or len(named) != 1:
        return Comparison(row, None, paired({}, {}))
    return Comparison(row, named[0], paired(_miou(row), _miou(named[0])))


def _miou(row: Row) -> dict[int, float | None]:
    return {record.seed: record.scores.miou for record in row.records if record.scores}


def _train_seconds(row: Row) -> dict[int, float]:
    return {record.seed: record.train.seconds for record in row.records if record.train}
