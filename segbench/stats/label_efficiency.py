"""Exchange rates of labels: how many times as many labels another method needs for the same score.

Both methods are trained with several fractions of the labels. The mean scores of the other method make a curve over
log2 of the fraction, linear in between, because over a few doublings of the data a score grows by about the same amount
with each (J. Hestness et al., "Deep learning scaling is predictable, empirically", arXiv 1712.00409). Isotonic
regression makes the curve monotone: where more labels gave a lower score, it takes the mean of neighbours, since more
labels hurt by chance only, and a falling curve has no answer, or two. Where the curve is flat, the fewest labels count.
The exchange rate at a fraction is where the curve reaches the method's score, divided by that fraction.

Its interval holds each rate at which the difference "score of the method - curve of the other" is not significantly
different from 0 (segbench/stats/difference.py). One draw of seeds and images serves all fractions and both methods, and
all draws average the same neighbours (the idea is that of E. C. Fieller, "Some problems in interval estimation", 1954).
Percentiles of the rate itself would be too narrow with few seeds, and the rate is infinite in draws in which the curve
does not reach the score. Outside the fractions that the other was trained with, a rate is only known to be above or
below a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite
from typing import TYPE_CHECKING, Literal

import numpy as np

from .difference import estimate_from_draws
from .summary import CONFIDENCE_LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .bootstrap import Draws

    Series = NDArray[np.float64]


# Between two neighbouring fractions the difference is computed at this many places; ends are interpolated between them.
PLACES_BETWEEN_FRACTIONS = 8
# What two scores that are equal may differ by after sums in another order.
ROUNDING = 1e-12


@dataclass(frozen=True)
class ExchangeRate:
    """How many times as many labels the other method needs; above 1 the method saves labels.

    `estimate` is None where the other's curve ends below the method's score (`side` "above": more than `most`) or
    begins above it ("below": less than `least`); `least` and `most` are the smallest and the largest rate that the
    fractions of the other allow to see. `low` is None where even fewer labels than those of `least` may do, `high`
    where more than those of `most` may be needed.
    """

    estimate: float | None
    side: Literal["within", "above", "below"]
    low: float | None
    high: float | None
    least: float
    most: float


def exchange_rate(
    draws: Draws, method: str, fraction: float, other: Mapping[float, str], level: float = CONFIDENCE_LEVEL
) -> ExchangeRate:
    """Return how many times `fraction` of the labels the other method needs to score as `method` does.

    `other` names the other method's scores in the draws by fraction, two or more of them, each in (0, 1]. With
    one seed the interval is over images only.
    """
    names = [other[one] for one in sorted(other)]
    doublings = np.log2(np.array(sorted(other)) / fraction)
    scores = _select_methods(draws, [method, *names])
    averaging = _averaging_matrix(scores.observed[1:].mean(axis=1))
    reached = _find_reached(float(scores.observed[0].mean()), averaging @ scores.observed[1:].mean(axis=1), doublings)
    low, high = _find_ends(scores, averaging, doublings, level)
    least, most = (float(end) for end in 2.0 ** doublings[[0, -1]])
    return ExchangeRate(
        estimate=float(2.0**reached) if isfinite(reached) else None,
        side="within" if isfinite(reached) else "above" if reached > 0 else "below",
        low=None if low is None else float(2.0**low),
        high=None if high is None else float(2.0**high),
        least=least,
        most=most,
    )


def _select_methods(draws: Draws, methods: Sequence[str]) -> Draws:
    indices = [draws.methods.index(method) for method in methods]
    return replace(
        draws,
        methods=tuple(methods),
        observed=draws.observed[indices],
        scores=draws.scores[:, indices],
        weights=draws.weights[indices],
        exchanged=draws.exchanged[indices],
    )


def _averaging_matrix(curve: Series) -> Series:
    """Return the matrix (fractions, fractions) that makes a curve monotone by taking means over neighbours.

    >>> _averaging_matrix(np.array([1.0, 3.0, 2.0])) @ np.array([1.0, 3.0, 2.0])
    array([1. , 2.5, 2.5])
    """
    from scipy.optimize import isotonic_regression

    matrix = np.zeros((len(curve), len(curve)))
    for start, end in pairwise(isotonic_regression(curve).blocks):
        matrix[start:end, start:end] = 1 / (end - start)
    return matrix


def _find_reached(score: float, curve: Series, doublings: Series) -> float:
    """Return the first place where a monotone curve reaches a score; infinite where it is above all or below all.

    >>> _find_reached(0.625, np.array([0.5, 0.75, 0.75]), np.array([0.0, 1.0, 2.0]))
    0.5
    """
    if score < curve[0] - ROUNDING:
        return -inf
    after = int(np.searchsorted(curve, score - ROUNDING))
    if after == len(curve):
        return inf
    if after == 0:
        return float(doublings[0])
    share = (score - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(doublings[after - 1] + min(share, 1.0) * (doublings[after] - doublings[after - 1]))


def _find_ends(scores: Draws, averaging: Series, doublings: Series, level: float) -> tuple[float | None, float | None]:
    """Return the places between which the score of the method, the first of `scores`, may equal the curve."""
    places, along = _spread_places(doublings)
    drawn = _combine(scores, np.hstack([np.ones((len(places), 1)), -along @ averaging]))
    intervals = np.array([estimate_from_draws(drawn, name).interval(level) for name in drawn.methods])
    return _first_not_above(intervals[:, 0], places), _last_not_below(intervals[:, 1], places)


def _combine(draws: Draws, factors: Series) -> Draws:
    """Return the draws of sums of the methods' scores times factors (sums, methods)."""
    sizes = np.abs(factors)
    return replace(
        draws,
        methods=tuple(map(str, range(len(factors)))),
        observed=factors @ draws.observed,
        scores=np.einsum("pm,rms->rps", factors, draws.scores),
        weights=sizes @ draws.weights / sizes.sum(axis=1, keepdims=True),
        exchanged=np.einsum("pm,mfst->pfst", factors, draws.exchanged),
    )


def _spread_places(doublings: Series) -> tuple[Series, Series]:
    """Return places along a curve, and the matrix (places, fractions) that interpolates it there."""
    steps = [np.linspace(one, other, PLACES_BETWEEN_FRACTIONS, endpoint=False) for one, other in pairwise(doublings)]
    places = np.append(np.concatenate(steps), doublings[-1])
    along = np.stack([np.interp(places, doublings, one) for one in np.eye(len(doublings))], axis=1)
    return places, along


def _first_not_above(lows: Series, places: Series) -> float | None:
    """Return where the lower ends first are not above 0; None if they begin so, the last place if they never are."""
    not_above = np.flatnonzero(lows <= ROUNDING)
    if len(not_above) == 0:
        return float(places[-1])
    return _crossing(lows, places, int(not_above[0])) if not_above[0] > 0 else None


def _last_not_below(highs: Series, places: Series) -> float | None:
    """Return where the upper ends last are not below 0; None if they end so, the first place if they never are."""
    mirrored = _first_not_above(-highs[::-1], -places[::-1])
    return None if mirrored is None else -mirrored


def _crossing(values: Series, places: Series, after: int) -> float:
    """Return where a line between a positive value and the next one, which is not, crosses 0."""
    before = after - 1
    share = values[before] / (values[before] - min(values[after], 0.0))
    return float(places[before] + share * (places[after] - places[before]))
