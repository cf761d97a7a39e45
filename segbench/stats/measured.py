"""The methods of a ranking measured together: their draws are made once, and only a part of them is kept at a time.

Of each resample what intervals need is kept: of each method, and of pairs that are reported, the mean over the seeds
and how far drawing images moved the seeds apart. For tiers every two methods are compared. How far their difference is
moved apart follows from sums of products, as |a - b|^2 = |a|^2 - 2 ab + |b|^2 of the moves of both methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .bootstrap import RESAMPLES, crossed_draws_in_parts
from .difference import difference_from_parts, draw_difference, estimate_from_spread, mean_difference
from .variance import Spread, apart, mean_squares

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from .bootstrap import Draws
    from .difference import Difference, DrawnDifference, Estimate, MeanDifference
    from .evidence import Evidence


Pair = tuple[str, str]


@dataclass(frozen=True)
class Measured:
    """What all resamples tell of some methods.

    Of `draws` only what was observed is used. `means` and `interactions` (methods, resamples) are as in
    `DrawnDifference`, `products` (methods, methods) the sums over resamples and seeds of how far drawing images moved
    one method apart times the other, and `pairs` the resamples of those pairs that were asked for.
    """

    draws: Draws
    means: NDArray[np.float64]
    interactions: NDArray[np.float64]
    products: NDArray[np.float64]
    pairs: Mapping[Pair, list[DrawnDifference]]

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods."""
        return self.draws.methods

    def estimate(self, method: str) -> Estimate:
        """Return the score of a method."""
        index = self.methods.index(method)
        return estimate_from_spread(self.draws, method, Spread.of(self.means[index], self.interactions[index]))

    def difference(self, one: str, other: str) -> Difference:
        """Return score(one) - score(other) of a pair that was asked for."""
        return difference_from_parts(self.draws, (one, other), self.pairs[one, other])

    def mean_difference(self, one: str, other: str) -> MeanDifference:
        """Return score(one) - score(other) of any two methods."""
        a, b = self.methods.index(one), self.methods.index(other)
        moved = self.products[a, a] - 2 * self.products[a, b] + self.products[b, b]
        freedom = self.means.shape[1] * max(len(self.draws.seeds) - 1, 1)
        spread = Spread(float((self.means[a] - self.means[b]).var(ddof=1)), max(float(moved), 0.0) / freedom)
        return mean_difference(self.draws, (one, other), spread)


def measure(evidence: Evidence, pairs: Collection[Pair] = (), *, resamples: int = RESAMPLES, seed: int = 0) -> Measured:
    """Measure all methods of the evidence, and pairs of them that are to be reported, on the draws of `crossed_draws`.

    Raises StatisticsError as that does.
    """
    drawn: dict[Pair, list[DrawnDifference]] = {pair: [] for pair in pairs}
    means, interactions = [], []
    products = np.zeros((len(evidence.methods), len(evidence.methods)))
    for part in crossed_draws_in_parts(evidence, resamples, seed):
        by_method = part.scores.swapaxes(0, 1)
        moves = apart(part.observed[:, None], by_method)
        means.append(by_method.mean(axis=2))
        interactions.append(mean_squares(moves))
        flat = moves.swapaxes(1, 2).reshape(len(moves), -1)  # as it lies in memory
        products += flat @ flat.T
        for pair, parts in drawn.items():
            parts.append(draw_difference(part, *pair))
    return Measured(part, np.hstack(means), np.hstack(interactions), products, drawn)
