"""All pairs of rows of a ranking: their differences, each judged on its own and among all of them.

`segbench compare` answers the one question that it is asked, tiers hold for all pairs at once. Both are right, and a
pair may be decided by the one and not by the other, so each is said with the other beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import StatisticsError
from segbench.stats.summary import CONFIDENCE_LEVEL, Interval
from segbench.stats.verdict import EQUIVALENCE_MARGIN, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.stats.verdict import Decision

    from .intervals import RankingDraws


REVERSED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


class PairView(NamedTuple):
    """The difference of one row to another, its interval and verdict."""

    estimate: float
    interval: Interval
    verdict: Verdict


class RankedPair(NamedTuple):
    """Two rows of a ranking by their names, the one with the better mean mIoU first, judged among all its pairs."""

    one: str
    other: str
    among_all: Decision

    @property
    def alone(self) -> Decision:
        """The same difference judged on its own."""
        return decide({"alone": self.among_all.difference})["alone"]

    @property
    def differs_alone_only(self) -> bool:
        """Whether the interval leaves 0 out at the level of one comparison, but not at that of all."""
        low, high = self.among_all.interval
        return self.among_all.difference.p <= 1 - CONFIDENCE_LEVEL and low <= 0 <= high

    def seen_from(self, one: str) -> PairView:
        """Return what holds among all pairs for one of both rows against the other."""
        verdict, (low, high) = self.among_all.verdict, self.among_all.interval
        estimate = self.among_all.difference.estimate
        if one == self.one:
            return PairView(estimate, Interval(low, high), verdict)
        return PairView(-estimate, Interval(-high, -low), REVERSED.get(verdict, verdict))


def judge_ranking(
    draws: RankingDraws, margin: float = EQUIVALENCE_MARGIN, level: float = CONFIDENCE_LEVEL
) -> tuple[RankedPair, ...]:
    """Return all pairs of the rows that tiers are made of; none where there are no tiers."""
    try:
        decided = draws.decide_pairs(margin, level)
    except StatisticsError:
        return ()
    return tuple(RankedPair(*names, decision) for names, decision in decided.items())


def find_pair(pairs: Iterable[RankedPair], one: str, other: str) -> RankedPair | None:
    """Return the pair of two rows, whichever comes first."""
    return next((pair for pair in pairs if {pair.one, pair.other} == {one, other}), None)
