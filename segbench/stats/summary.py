"""Mean and standard deviation of a quantity over seeds, and the type of an interval; free of numpy."""

from __future__ import annotations

from math import sqrt
from statistics import mean, stdev, variance
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Of every interval and verdict, unless another is asked for.
CONFIDENCE_LEVEL = 0.95


class Summary(NamedTuple):
    """Mean, sample standard deviation (divisor n - 1) and the number of values; None where there are too few."""

    mean: float | None
    sd: float | None
    n: int


def summarize(values: Iterable[float | None]) -> Summary:
    """Summarize the values that are there.

    >>> summarize([1.0, None, 2.0, 3.0])
    Summary(mean=2.0, sd=1.0, n=3)
    >>> summarize([0.5])
    Summary(mean=0.5, sd=None, n=1)
    """
    present = [value for value in values if value is not None]
    return Summary(
        mean=mean(present) if present else None,
        sd=stdev(present) if len(present) > 1 else None,
        n=len(present),
    )


class Interval(NamedTuple):
    """A closed interval, in the unit of what it is about; fractions of 1 for scores and their differences."""

    low: float
    high: float


def interval_of_repeat(
    value: float, others: Iterable[Sequence[float]], level: float = CONFIDENCE_LEVEL
) -> Interval | None:
    """Return the interval in which a repeat of a value lies with this probability; None if nothing tells its spread.

    `others` are groups of further values, each normal about a mean of its own, all with the spread of the repeat. The
    interval is value ± t s sqrt(2), with s pooled over the groups: the repeatability limit of ISO 5725-6:1994, with t
    for the normal quantile as s is an estimate. The value has no part in s: else one that is far off would widen its
    own interval until it holds any repeat.

    >>> interval_of_repeat(0.5, [[0.4, 0.5, 0.6], [0.9]], level=0.9).high.__round__(3)
    0.913
    """
    from .variance import quantile

    groups = [group for group in others if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    if freedom == 0:
        return None
    pooled = sum((len(group) - 1) * variance(group) for group in groups) / freedom
    half = quantile((1 + level) / 2, freedom) * sqrt(2 * pooled)
    return Interval(value - half, value + half)
