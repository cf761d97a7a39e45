"""Comparisons of the rows of a ranking: their difference of mIoU, judged together with others of one family.

A family are the differences whose verdicts hold at once: the chance of any false "better" or "worse" among them is at
most 5 % (Holm), where the seeds that were run show how seeds differ: not if a method collapses in few seeds and in none
of these. `segbench report` judges all differences of a ranking as one family, `segbench compare` those that
concern the two methods it is given. Both judge them here, so what they print of the same two methods differs in the
level of the interval only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from segbench.errors import StatisticsError
from segbench.report import cell_spec
from segbench.stats.summary import CONFIDENCE_LEVEL, Interval, Summary, summarize
from segbench.stats.verdict import EQUIVALENCE_MARGIN, judge

from .rows import where_both_ran
from .timings import speed_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.stats.difference import Difference
    from segbench.stats.timing import Ratio
    from segbench.stats.verdict import Judgement
    from segbench.store.record import HealthVerdict

    from .intervals import RankingDraws
    from .rows import Row


# Why two rows are compared: the other is the twin of the row, a claim names it, it was trained for equal seconds or is
# the twin beside such a one, it is a placebo of the row, or the row is a placebo of the method that is compared with
# the other.
Relation = Literal["twin", "claim", "opponent", "placebo", "placebo's gain", "none"]


# What is known of the budgets with which two methods were trained.
Terms = Literal["equal steps", "equal seconds", "different budgets", "unknown"]


class Pair(NamedTuple):
    """A row and the method it is to be compared with; `seeds` are those to use, None for all that both have.

    `other` is None if the method `other_name` has no row in the ranking.
    """

    row: Row
    other_name: str | None
    relation: Relation
    other: Row | None = None
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A row compared with another; `missing` says why their difference of mIoU could not be judged.

    The relation is "none" for a row that has a discriminator and nothing to be compared with.
    """

    row: Row
    other_name: str | None
    relation: Relation
    other: Row | None
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
        """The interval of the difference at the level of the judgement."""
        return self.judgement.interval if self.judgement else None

    @property
    def is_over_images_only(self) -> bool:
        """Whether the interval is over images only, because there is one seed in common."""
        return self.judgement is not None and self.judgement.difference.seeds == 1

    @property
    def terms(self) -> Terms:
        """Whether both rows were trained for as many measured seconds, or for as many steps."""
        return "unknown" if self.other is None else compare_terms(self.row, self.other)

    @property
    def time_ratio(self) -> float | None:
        """Seconds of training as a multiple of the other's, over the seeds in common; None if they ran apart."""
        both = where_both_ran(self.row, self.other) if self.other else None
        if both is None:
            return None
        own, others = (row.train_seconds for row in both)
        seeds = own.keys() & others.keys()
        total = sum(others[seed] for seed in seeds)
        return sum(own[seed] for seed in seeds) / total if total > 0 else None

    def speed_ratio(self, batch: int) -> Ratio | None:
        """Return how many times as fast the forward pass is as the other's; None if not timed in one session."""
        both = where_both_ran(self.row, self.other) if self.other else None
        return speed_ratio(both[0].speed, both[1].speed, "forward", batch) if both else None

    @property
    def speed_ratios(self) -> dict[int, Ratio]:
        """The ratio at each batch size at which both were timed interleaved."""
        return {batch: ratio for batch in self.row.inference if (ratio := self.speed_ratio(batch))}

    @property
    def collapsed(self) -> dict[str, tuple[int, ...]]:
        """The seeds in common in which a row's adversarial training collapsed, by the name of the row."""
        return self._seeds_of("collapsed", filter(None, (self.row, self.other)))

    @property
    def inert(self) -> dict[str, tuple[int, ...]]:
        """The seeds in common in which a row's critic had no say, by the name of the row; placebos are to have none."""
        rows = filter(None, (self.row, self.other))
        return self._seeds_of("inert", (row for row in rows if "inert" in row.verdicts and not row.placebo_of))

    def _seeds_of(self, verdict: HealthVerdict, rows: Iterable[Row]) -> dict[str, tuple[int, ...]]:
        common = self._by_seed()
        found = {row.name: tuple(seed for seed in row.verdicts.get(verdict, ()) if seed in common) for row in rows}
        return {name: seeds for name, seeds in found.items() if seeds}

    @property
    def constant(self) -> dict[str, str]:
        """What class a row's network predicts everywhere in which of the seeds in common, by the name of the row."""
        rows = filter(None, (self.row, self.other))
        return {row.name: text for row in rows if (text := row.describe_constant(self.seeds))}

    def _by_seed(self) -> dict[int, float]:
        own, others = self.row.by_seed("miou"), self.other.by_seed("miou") if self.other else {}
        return {seed: own[seed] - others[seed] for seed in sorted(own.keys() & others.keys())}


@dataclass(frozen=True, kw_only=True)
class Contrast(Comparison):
    """A comparison of two rows that was judged."""

    other: Row
    judgement: Judgement

    @property
    def difference(self) -> Difference:
        """The difference in mIoU, with its standard error and probabilities."""
        return self.judgement.difference


def judge_family(
    pairs: Sequence[Pair], draws: RankingDraws, *, margin: float = EQUIVALENCE_MARGIN, level: float = CONFIDENCE_LEVEL
) -> tuple[Comparison, ...]:
    """Compare pairs of rows, all as one family at this level; those with a difference are Contrasts.

    `margin` is the difference up to which two methods are equivalent, a fraction of 1.
    """
    differences: dict[int, Difference] = {}
    missing: dict[int, str] = {}
    for place, pair in enumerate(pairs):
        if pair.other is None:
            continue
        try:
            differences[place] = draws.difference(pair.row.name, pair.other.name, pair.seeds)
        except StatisticsError as error:
            missing[place] = str(error)
    judgements = judge(differences, margin=margin, level=level) if differences else {}
    return tuple(_compare(pair, judgements.get(place), missing.get(place)) for place, pair in enumerate(pairs))


def _compare(pair: Pair, judgement: Judgement | None, missing: str | None) -> Comparison:
    row, other_name, relation, other, _ = pair
    if other is not None and judgement is not None:
        return Contrast(row=row, other_name=other_name, relation=relation, other=other, judgement=judgement)
    return Comparison(row=row, other_name=other_name, relation=relation, other=other, missing=missing)


def compare_rows(rows: Sequence[Row], draws: RankingDraws) -> tuple[Comparison, ...]:
    """Compare the rows of a ranking with their twins, other methods that claims name, and their placebos.

    The best row comes first, each followed by its placebos. All comparisons are one family.
    """
    return judge_family(pair_rows(rows), draws)


def pair_rows(rows: Sequence[Row]) -> list[Pair]:
    """Return what `compare_rows` compares."""
    return [pair for row in _rows_to_compare(rows) for pair in _pairs(row, rows)]


def pairs_by_name(pairs: Iterable[Pair]) -> list[tuple[str, str]]:
    """Return the names of both rows of each pair that has two."""
    return [(pair.row.name, pair.other.name) for pair in pairs if pair.other is not None]


def comparison_with_twin(found: Iterable[Comparison], row: Row) -> Comparison | None:
    """Return the comparison of a row with its twin."""
    return next((one for one in found if one.row.name == row.name and one.relation == "twin" and one.other), None)


def compare_terms(one: Row, other: Row) -> Terms:
    """Return on what terms two rows were trained: for as many measured seconds, as many steps, or neither."""
    like, other_like = one.as_long_as, other.as_long_as
    if like == other.method or other_like == one.method or (like and like == other_like):
        return "equal seconds"
    steps, other_steps = _steps(one), _steps(other)
    if not steps or not other_steps:
        return "unknown"
    return "equal steps" if steps == other_steps and len(steps) == 1 else "different budgets"


def _rows_to_compare(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that have something to be compared with, or a discriminator."""
    place = {row.method: i for i, row in reversed(list(enumerate(rows)))}
    compared = [row for row in rows if (row.twin or row.against or row.verdicts) and not row.generates_images]

    def order(row: Row) -> tuple[int, bool, str]:
        return place.get(row.placebo_of or row.method, len(place)), row.placebo_of is not None, row.name

    return sorted(compared, key=order)


def _pairs(row: Row, rows: Sequence[Row]) -> Iterable[Pair]:
    relations: dict[str, Relation] = {row.twin: "twin"} if row.twin else {}
    relations |= {name: "claim" for name in row.against if name != row.twin}
    placebos = [other.method for other in rows if other.placebo_of == row.method]
    relations |= dict.fromkeys(sorted(set(placebos)), "placebo")
    for name, relation in relations.items():
        yield Pair(row, name, relation, find_own(row, name, rows))
    if not relations:
        yield Pair(row, None, "none")


def find_own(row: Row, method: str, rows: Iterable[Row]) -> Row | None:
    """Return the row of another method that belongs to a row: of several recipes the one nearest to its own.

    That is the one with the same code, versions and settings in most; of equally near ones the one begun last.
    """

    def nearness(other: Row) -> tuple[int, float]:
        one, found = row.records[0], other.records[0]
        return -cell_spec.distance(one, found), cell_spec.start_time(found)

    return max((one for one in rows if one.method == method and not one.scored_only), key=nearness, default=None)


def _steps(row: Row) -> set[int]:
    return {record.train.steps for record in row.records if record.train}
