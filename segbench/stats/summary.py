"""Mean and standard deviation of a quantity over seeds, and the type of an interval; free of numpy."""

from __future__ import annotations

from math import sqrt
from statistics import mean, stdev
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


def interval_of_one_more(values: Sequence[float], level: float = CONFIDENCE_LEVEL) -> Interval | None:
    """Return the interval in which one more value lies with this probability, if all are normal; None below two values.

    The prediction interval mean ± t sd sqrt(1 + 1/n) with n - 1 degrees of freedom (W. Q. Meeker, G. J. Hahn and
    L. A. Escobar, "Statistical Intervals", 2nd edition, 2017, section 4.7).

    >>> interval_of_one_more([0.5, 0.6, 0.7], level=0.9).high.__round__(3)
    0.937
    """
    from .variance import quantile

    found = summarize(values)
    if found.mean is None or found.sd is None:
        return None
    half = quantile((1 + level) / 2, found.n - 1) * found.sd * sqrt(1 + 1 / found.n)
    return Interval(found.mean - half, found.mean + half)
