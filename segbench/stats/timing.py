"""Confidence intervals of measured speeds, and of the ratio of two methods whose blocks were interleaved.

Everything is done on logarithms: speeds are positive, disturbances multiply them, and the interval of A / B is then the
inverse of that of B / A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from .summary import CONFIDENCE_LEVEL, Interval
from .variance import quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Values: TypeAlias = NDArray[np.float64]


LEAST_BLOCKS = 3
LEAST_ROUNDS = 2
# Before measuring may end because an interval is narrow. It then covers the ratio with 92.5 to 95 % in a simulation of
# blocks that scatter by 0.5 to 5 % and are measured until it is within 2 %; with 3 rounds with 90 %.
LEAST_ROUNDS_TO_STOP = 5
_ROUNDING = 1e-12
# Bounds for few blocks, whose correlation is hardly known: without them an interval may be of any width,
# and in simulated first-order series it covers no more often.
_MOST_CORRELATED = 0.8
_LEAST_FREEDOM = 3


class Ratio(NamedTuple):
    """How many times as fast one method is as another, and the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float

    @property
    def interval(self) -> Interval:
        """The two bounds."""
        return Interval(self.low, self.high)

    @property
    def is_measured(self) -> bool:
        """Whether the interval tells more than a factor of two in each direction."""
        return self.high <= 2 * self.estimate

    def is_within(self, precision: float) -> bool:
        """Whether the interval ends within +- `precision` of the estimate, as a share of it."""
        return self.high <= (1 + precision) * self.estimate and self.low >= (1 - precision) * self.estimate


def throughput_interval(blocks: Sequence[float], level: float = CONFIDENCE_LEVEL) -> Interval | None:
    """Return the confidence interval of a method's images a second from those of its blocks, in order; None below 3.

    A t interval of the mean logarithm. Clocks, heat and other load change slowly, so neighbouring blocks resemble one
    another and n of them tell less than n independent ones (`effective_number`); with neighbours correlated by 0.6, the
    plain interval of 30 blocks covers 67 %, this one 92 %. It is about the speed under the conditions of this session:
    of what stayed the same throughout, blocks can tell nothing. Speeds are above 0.

    >>> low, high = throughput_interval([100.0, 102.0, 99.0, 101.0, 98.0, 100.0])
    >>> round(low, 1), round(high, 1)
    (98.5, 101.5)
    """
    logs = np.log(blocks)
    if len(logs) < LEAST_BLOCKS:
        return None
    if np.ptp(logs) <= _ROUNDING:
        return _around(logs.mean(), 0.0)
    n = effective_number(logs)
    freedom = max(n - 1, min(len(logs) - 1, _LEAST_FREEDOM))
    variance = logs.var() / (1 - 1 / n)
    return _around(logs.mean(), quantile((1 + level) / 2, freedom) * np.sqrt(variance / n))


def ratio(one: Sequence[float], other: Sequence[float], level: float = CONFIDENCE_LEVEL) -> Ratio | None:
    """Return one / other of two methods' images a second, from interleaved blocks; None with fewer than 2 rounds.

    The estimate is the geometric mean of the ratios of each round, the interval a t interval of their logarithms. What
    slows both methods of a round falls out, and with it what makes neighbouring blocks alike; rounds count as
    independent. Blocks of rounds that only one of the two took part in are left out. Speeds are above 0.

    >>> found = ratio([200.0, 180.0, 220.0], [100.0, 90.0, 110.0])
    >>> round(found.estimate, 9), round(found.low, 9), round(found.high, 9)
    (2.0, 2.0, 2.0)
    """
    rounds = min(len(one), len(other))
    if rounds < LEAST_ROUNDS:
        return None
    logs = np.log(one[:rounds]) - np.log(other[:rounds])
    half = quantile((1 + level) / 2, rounds - 1) * np.sqrt(logs.var(ddof=1) / rounds)
    return Ratio(float(np.exp(logs.mean())), *_around(logs.mean(), half))


def is_known(name: str, blocks: Mapping[str, Sequence[float]], precision: float) -> bool:
    """Tell whether a method's speed is known within +- `precision`, or would not become better known by another block.

    `blocks` are the images a second of all methods whose blocks are interleaved. Of the first one the ratios to all
    others are to be that well known, of another one the ratio to the first; of a method alone its own speed. Methods
    with fewer blocks than this one are not measured any more. With fewer than 5 blocks nothing is known.

    >>> steady, noisy = [100.0, 101.0, 100.0, 99.0, 100.0], [100.0, 140.0, 90.0, 80.0, 120.0]
    >>> is_known("a", {"a": steady, "b": steady}, 0.02), is_known("b", {"a": steady, "b": noisy}, 0.02)
    (True, False)
    """
    mine, first = blocks[name], next(iter(blocks))
    if len(mine) < LEAST_ROUNDS_TO_STOP:
        return False
    if len(blocks) == 1:
        bounds = throughput_interval(mine)
        return bounds is not None and Ratio(float(np.exp(np.log(mine).mean())), *bounds).is_within(precision)
    others = [theirs for other, theirs in blocks.items() if other != name and first in (name, other)]
    ratios = [ratio(mine, theirs) for theirs in others if len(theirs) >= len(mine)]
    return all(found is not None and found.is_within(precision) for found in ratios)


def effective_number(values: Values) -> float:
    """Return how many independent values tell as much about the mean as these, which come one after the other.

    n / (1 + 2 sum_k (1 - k/n) r^k) with r the correlation of neighbours (G. V. Bayley and J. M. Hammersley, 1946, for a
    first-order process). A short series makes r look smaller than it is; (1 + 3 r) / n is added (M. G. Kendall,
    Biometrika 41, 1954). A negative one counts as 0: a few values never tell more than their number. They must differ.

    >>> effective_number(np.array([1.0, -1.0, 1.0, -1.0])), round(effective_number(np.arange(10.0)), 2)
    (4.0, 1.84)
    """
    n, correlation = len(values), _correlation_of_neighbours(values)
    lags = np.arange(1, n)
    return float(n / (1 + 2 * np.sum((1 - lags / n) * correlation**lags)))


def _correlation_of_neighbours(values: Values) -> float:
    away = values - values.mean()
    found = float(away[1:] @ away[:-1] / (away @ away))
    corrected = found + (1 + 3 * found) / len(values)
    return min(max(corrected, 0.0), _MOST_CORRELATED)


def _around(mean: float, half: float) -> Interval:
    return Interval(float(np.exp(mean - half)), float(np.exp(mean + half)))
