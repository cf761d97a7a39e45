"""What one method costs beside another: seconds of training, parameters, and the speed of inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from segbench.report.ranking.differences import compare_terms
from segbench.report.ranking.rows import where_both_ran
from segbench.report.ranking.timings import STAGES, speed_ratio
from segbench.stats.summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.report.ranking.differences import Terms
    from segbench.report.ranking.rows import Row
    from segbench.stats.timing import Ratio
    from segbench.store.record import Stage


class SpeedRatio(NamedTuple):
    """How many times as fast A runs as B, at one stage and batch size."""

    stage: Stage
    batch: int
    ratio: Ratio


class CostComparison(NamedTuple):
    """What A and B cost: seconds of training over the common seeds, parameters, and the speed of inference.

    `speeds` is empty unless both were timed in one session; `timed` tells whether both were timed at all. `together`
    tells whether both ran under the same conditions, without which there is no ratio of seconds.
    """

    terms: Terms
    one_seconds: Summary
    other_seconds: Summary
    one_parameters: int | None
    other_parameters: int | None
    speeds: tuple[SpeedRatio, ...]
    timed: bool
    together: bool = True

    @property
    def seconds_ratio(self) -> float | None:
        """Seconds of training of A as a multiple of B's."""
        return _divide(self.one_seconds.mean, self.other_seconds.mean) if self.together else None

    @property
    def parameters_ratio(self) -> float | None:
        """Parameters of A as a multiple of B's."""
        return _divide(self.one_parameters, self.other_parameters)


def compare_costs(one: Row, other: Row, seeds: Sequence[int]) -> CostComparison:
    """Return the costs of two rows over some seeds."""
    both = where_both_ran(one, other)
    one, other = both or (_at_home(one), _at_home(other))
    one_seconds, other_seconds = one.train_seconds, other.train_seconds
    known = [seed for seed in seeds if seed in one_seconds and seed in other_seconds]
    return CostComparison(
        compare_terms(one, other),
        summarize(one_seconds[seed] for seed in known),
        summarize(other_seconds[seed] for seed in known),
        one.cost("parameters"),
        other.cost("parameters"),
        tuple(_speed_ratios(one, other)),
        bool(one.inference and other.inference),
        both is not None,
    )


def _at_home(row: Row) -> Row:
    """Return a row under the conditions of most of its records' place."""
    return next((found for where in row.runs if (found := row.under(where))), row)


def _speed_ratios(one: Row, other: Row) -> Iterable[SpeedRatio]:
    batches = sorted({timing.batch for timing in one.speed.inference})
    for stage in STAGES:
        for batch in batches:
            if ratio := speed_ratio(one.speed, other.speed, stage, batch):
                yield SpeedRatio(stage, batch, ratio)


def _divide(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None
