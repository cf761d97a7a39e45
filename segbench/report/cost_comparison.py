"""What one method costs beside another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from segbench.stats.summary import Summary, summarize

from . import cell_spec
from .timings import STAGES, ratio_to, rival

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segbench.stats.timing import Ratio
    from segbench.store.record import Record, Stage

    from .rows import Row

Terms = Literal["equal steps", "equal seconds", "different budgets", "unknown"]


class SpeedRatio(NamedTuple):
    """How many times as fast A runs as B, at one stage and batch size."""

    stage: Stage
    batch: int
    ratio: Ratio


class CostComparison(NamedTuple):
    """What A and B cost: seconds of training over the common seeds, parameters, and the speed of inference.

    `speeds` is empty unless both were timed in turn, in one session; `timed` tells whether both were timed at all.
    """

    terms: Terms
    one_seconds: Summary
    other_seconds: Summary
    one_parameters: int | None
    other_parameters: int | None
    speeds: tuple[SpeedRatio, ...]
    timed: bool

    @property
    def seconds_ratio(self) -> float | None:
        """Seconds of training of A as a multiple of B's."""
        return _times(self.one_seconds.mean, self.other_seconds.mean)

    @property
    def parameters_ratio(self) -> float | None:
        """Parameters of A as a multiple of B's."""
        return _times(self.one_parameters, self.other_parameters)


def compare_costs(one: Row, other: Row, seeds: Sequence[int]) -> CostComparison:
    """Return the costs of two rows over some seeds."""
    both = [(mine, yours) for mine, yours in zip(_trained(one, seeds), _trained(other, seeds), strict=True)]
    known = [(mine.train.seconds, yours.train.seconds) for mine, yours in both if mine.train and yours.train]
    return CostComparison(
        terms(one, other),
        summarize(mine for mine, _ in known),
        summarize(yours for _, yours in known),
        one.cost("parameters"),
        other.cost("parameters"),
        tuple(_speeds(one, other)),
        bool(one.inference and other.inference),
    )


def terms(one: Row, other: Row) -> Terms:
    """Return on what terms two rows were trained: for as many measured seconds, as many steps, or neither."""
    if _like(one) == other.method or _like(other) == one.method or (_like(one) and _like(one) == _like(other)):
        return "equal seconds"
    ours, theirs = _steps(one), _steps(other)
    if not ours or not theirs:
        return "unknown"
    return "equal steps" if ours == theirs and len(ours) == 1 else "different budgets"


def is_trained_like(row: Row, method: str) -> bool:
    """Tell whether a row was trained for as many seconds as a method took."""
    return _like(row) == method


def _like(row: Row) -> str | None:
    budget = cell_spec.protocol(row.records[0]).get("budget")
    return budget.get("like") if isinstance(budget, dict) else None


def _steps(row: Row) -> set[int]:
    return {record.train.steps for record in row.records if record.train}


def _trained(row: Row, seeds: Sequence[int]) -> list[Record]:
    by_seed = {record.seed: record for record in row.records}
    return [by_seed[seed] for seed in seeds]


def _speeds(one: Row, other: Row) -> Iterable[SpeedRatio]:
    """Return the ratios of one session, the first in which both were timed."""
    timed = [(mine, yours) for mine in one.records for yours in other.records if _in_one_session(mine, yours)]
    for mine, yours in timed[:1]:
        batches = sorted({row.batch for row in mine.inference})
        for stage in STAGES:
            for batch in batches:
                if ratio := ratio_to(rival(mine), rival(yours), stage, batch):
                    yield SpeedRatio(stage, batch, ratio)


def _in_one_session(one: Record, other: Record) -> bool:
    return one.timing is not None and other.timing is not None and one.timing.session == other.timing.session


def _times(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of else None
