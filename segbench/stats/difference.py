"""The paired difference of two methods, and the score of one, with their confidence intervals.

Two things are random: the seeds that a method was trained with and the images that it was scored on. They are
crossed, so the variance of a mean over n seeds is

    SE^2 = V_seed + V_image - V_interaction

where V_seed is the sample variance of the seeds' values divided by n, V_image the variance of the mean over seeds when
images alone are drawn, and V_interaction what both hold: that a seed is good at some images and not at others. A
cross-validated seed is a network for each test fold, all of them started independently, so that V_seed is estimated
within folds and pooled; what V_image has of how networks of different folds differ, V_interaction has too. This is
the analysis of variance of a two-way layout with random effects (S. R. Searle, G. Casella and C. E. McCulloch,
"Variance Components", 1992), with the part of images taken from the bootstrap, since a mean IoU is no mean over images.
Intervals are the estimate ± t SE with the t of segbench/stats/variance.py. Percentiles of the crossed draws are not
used: with few seeds they are too narrow by sqrt((n - 1) / n) and by the t quantile, they count the interaction about
three times, and 10,000 resamples are too few for the levels of Holm's adjustment. The sign-flip test over seeds, at the
end of this module, is reported too; it does not consider images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .bootstrap import RESAMPLES, by_cluster, crossed_draws, resample, score
from .summary import CONFIDENCE_LEVEL, Interval
from .variance import Components, Exchanged, Spread, apart, components_from_spread, mean_squares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from .bootstrap import Draws
    from .evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds of one method's score, in [0, 1], and how far it may lie from the truth by chance.

    `standard_error` is that of both seeds and images, `freedom` its degrees of freedom. With one seed it is that of the
    images alone. Of its square, `seed_variance` is what differs between seeds (None with one), `image_variance` what
    differs between images; `interaction_variance` is in both and counted once. `images` is the number of all images,
    `units` the images or clusters that hold anything to be scored, `image_freedom` how many of them, less one, would
    decide as much if all were alike; `by_seed` is the value of each seed, and `networks` how many test folds, 1 without
    cross-validation, would decide as much if all were alike.
    """

    estimate: float
    standard_error: float
    freedom: float
    seeds: int
    images: int
    units: int
    seed_variance: float | None
    image_variance: float
    interaction_variance: float
    image_freedom: float
    by_seed: Mapping[int, float]
    networks: float = 1.0

    def interval(self, level: float = CONFIDENCE_LEVEL) -> Interval:
        """Return the interval that holds the truth with this probability; level in (0, 1)."""
        reach = self.components.critical((1 - level) / 2) * self.standard_error
        return Interval(self.estimate - reach, self.estimate + reach)

    @property
    def components(self) -> Components:
        """The variances as one, to ask what another number of seeds would make of them."""
        return Components(
            self.seeds,
            self.image_freedom,
            self.seed_variance,
            self.image_variance,
            self.interaction_variance,
            self.networks,
        )


@dataclass(frozen=True, kw_only=True)
class MeanDifference(Estimate):
    """A mean over seeds of score(one) - score(other), in [-1, 1], on the same images and with the same seeds.

    `p` is two-sided, from the t of the interval.
    """

    p: float


@dataclass(frozen=True, kw_only=True)
class Difference(MeanDifference):
    """A mean difference with what is reported of it beside the interval; no verdict depends on that.

    `sign_flip_p` is exact over seeds and does not consider images. `probability` is that of a higher score of one than
    of the other with a seed drawn at random on images drawn at random, ties half (X. Bouthillier et al., "Accounting
    for variance in machine learning benchmarks", MLSys 2021); `probability_interval` is its 95 % percentile interval.
    """

    sign_flip_p: float
    probability: float
    probability_interval: Interval


def difference(evidence: Evidence, one: str, other: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """Return score(one) - score(other) of the evidence; StatisticsError as `crossed_draws`."""
    return difference_from_draws(crossed_draws(evidence.of(one, other), resamples, seed), one, other)


def estimate(evidence: Evidence, method: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Return the score of one method; StatisticsError as `crossed_draws`."""
    return estimate_from_draws(crossed_draws(evidence.of(method), resamples, seed), method)


def class_differences(
    evidence: Evidence, one: str, other: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Difference | None]:
    """Return the difference class by class; None for a class that cannot have one.

    Such a class occurs in fewer than two images (or clusters), or one of the methods has no score of it with some seed.
    """
    grouped = by_cluster(evidence.of(one, other))
    drawn = resample(len(grouped.images), len(grouped.seeds), resamples, seed)
    found: list[Difference | None] = []
    for class_id in range(grouped.num_classes):
        alone = grouped.of_classes([class_id])
        can_differ = (alone.whole > 0).any(axis=2).all() and (alone.whole > 0).any(axis=(0, 1, 3)).sum() > 1
        found.append(
            difference_from_draws(score(alone, drawn, len(evidence.images)), one, other) if can_differ else None
        )
    return found


def difference_from_draws(draws: Draws, one: str, other: str) -> Difference:
    """Return what `difference` does, from draws made once for many pairs."""
    return difference_from_parts(draws, (one, other), [draw_difference(draws, one, other)])


class DrawnDifference(NamedTuple):
    """The difference of two methods in some resamples, arrays of shape (resamples,).

    `means` are those over the seeds, `interactions` the variances over the seeds of how far drawing images moved each,
    `won` the shares of the drawn seeds in which it is above 0, ties half.
    """

    means: NDArray[np.float64]
    interactions: NDArray[np.float64]
    won: NDArray[np.float64]


def draw_difference(draws: Draws, one: str, other: str) -> DrawnDifference:
    """Return the difference of two methods in the resamples of some draws."""
    first, second = draws.methods.index(one), draws.methods.index(other)
    observed = draws.observed[first] - draws.observed[second]
    drawn = draws.scores[:, first] - draws.scores[:, second]
    interactions = mean_squares(apart(observed, drawn))
    return DrawnDifference(drawn.mean(axis=1), interactions, _shares_won(drawn, draws.seed_shares))


def difference_from_parts(draws: Draws, pair: tuple[str, str], parts: Iterable[DrawnDifference]) -> Difference:
    """Return the difference of a pair from all of its resamples; of `draws` only what was observed is used."""
    means, interactions, won = map(np.concatenate, zip(*parts, strict=True))
    low, high = np.quantile(won, [0.025, 0.975])
    found = mean_difference(draws, pair, Spread.of(means, interactions))
    return Difference(
        **vars(found),
        sign_flip_p=sign_flip_p(found.by_seed.values()),
        probability=float(won.mean()),
        probability_interval=Interval(float(low), float(high)),
    )


def mean_difference(draws: Draws, pair: tuple[str, str], spread: Spread) -> MeanDifference:
    """Return the mean difference of a pair from its spread; of `draws` only what was observed is used."""
    one, other = (draws.methods.index(method) for method in pair)
    observed = draws.observed[one] - draws.observed[other]
    exchanged = draws.exchanged[one] - draws.exchanged[other]
    found = _components(draws, observed, exchanged, spread, [one, other])
    return MeanDifference(**_summary(draws, found, observed), p=found.p(float(observed.mean())))


def _shares_won(drawn: NDArray[np.float64], seed_shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the drawn seeds in which a difference is above 0, ties half, for each resample.

    Such a share is a multiple of half a seed, to which it is rounded.
    """
    halves = 2 * drawn.shape[1]
    won = (1 + np.einsum("rs,rs->r", np.sign(drawn), seed_shares)) / 2
    return np.asarray(np.rint(won * halves) / halves)


def estimate_from_draws(draws: Draws, method: str) -> Estimate:
    """Return what `estimate` does, from draws made once for many methods."""
    index = draws.methods.index(method)
    drawn = draws.scores[:, index]
    moves = mean_squares(apart(draws.observed[index], drawn))
    return estimate_from_spread(draws, method, Spread.of(drawn.mean(axis=1), moves))


def estimate_from_spread(draws: Draws, method: str, spread: Spread) -> Estimate:
    """Return the score of a method from its spread; of `draws` only what was observed is used."""
    index = draws.methods.index(method)
    observed = draws.observed[index]
    return Estimate(**_summary(draws, _components(draws, observed, draws.exchanged[index], spread, [index]), observed))


def _components(
    draws: Draws,
    observed: NDArray[np.float64],
    exchanged: NDArray[np.float64],
    spread: Spread,
    indices: list[int],
) -> Components:
    """Return the components of what is made of some methods; images that hold nothing of it have no weight."""
    weights: NDArray[np.float64] = draws.weights[indices].mean(axis=0)
    shares = np.bincount(draws.folds, weights).astype(np.float64)
    folds = Exchanged(exchanged, shares) if len(exchanged) else None
    return components_from_spread(observed, spread, weights[weights > 0], folds)


def _summary(draws: Draws, found: Components, observed: NDArray[np.float64]) -> dict[str, Any]:
    """Return the fields of an Estimate."""
    return {
        "estimate": float(observed.mean()),
        "standard_error": found.standard_error,
        "freedom": found.freedom,
        "seeds": found.seeds,
        "images": draws.images,
        "units": draws.weights.shape[1],
        "seed_variance": found.seed,
        "image_variance": found.image,
        "interaction_variance": found.interaction,
        "image_freedom": found.image_freedom,
        "by_seed": dict(zip(draws.seeds, observed.tolist(), strict=True)),
        "networks": found.networks,
    }


# The fewest seeds with which an exact two-sided sign-flip test can fall below p = 0.05.
LEAST_SEEDS_FOR_SIGN_FLIPS = 6
# With more differences than this, signs are drawn: 2^20 sums are a million.
MOST_EXACT_SIGN_FLIPS = 20
DRAWN_SIGNS = 100_000
# Sums that differ only by rounding count as equal.
ROUNDING = 1e-12


def sign_flip_p(differences: Iterable[float]) -> float:
    """Return the two-sided p of the mean difference when the signs of the differences are left to chance.

    Exact up to 20 differences: the share of all 2^n choices of signs with a sum at least as far from 0. Beyond, signs
    are drawn with a fixed seed and what was seen counts as one of the draws (B. Phipson and G. K. Smyth, "Permutation
    p-values should never be zero", 2010). 1 if there are no differences.

    >>> sign_flip_p([0.01, 0.02, 0.03])
    0.25
    """
    values = np.array(list(differences), dtype=np.float64)
    bound = abs(values.sum()) - ROUNDING * np.abs(values).sum()
    if len(values) <= MOST_EXACT_SIGN_FLIPS:
        return float(np.mean(np.abs(_all_sums(values)) >= bound))
    reached = int(np.sum(np.abs(_drawn_sums(values)) >= bound))
    return (reached + 1) / (DRAWN_SIGNS + 1)


def sign_flip_floor(n: int) -> float:
    """Return the smallest two-sided p that an exact sign-flip test over n differences can give, 2 / 2^n.

    >>> sign_flip_floor(3), sign_flip_floor(6)
    (0.25, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums with each choice of signs but the first value's: 2^(n - 1), to which the others are opposite."""
    sums = values[:1] if len(values) else np.zeros(1)
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _drawn_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums with signs drawn at random, added up eight values at a time: there are 256 choices of their signs."""
    sums = np.zeros(DRAWN_SIGNS)
    for place, choices in enumerate(_drawn_signs(len(values))):
        eight = values[8 * place : 8 * place + 8]
        sums += (_SIGNS_OF_A_BYTE[:, : len(eight)] @ eight)[choices]
    return sums


# The signs that the bits of each byte stand for, (256, 8).
_SIGNS_OF_A_BYTE = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1


@lru_cache(maxsize=1)
def _drawn_signs(n: int) -> NDArray[np.uint8]:
    """Return the signs drawn for n values, eight to a byte, (bytes, DRAWN_SIGNS): the same for all pairs of methods."""
    generator, step = np.random.default_rng(0), 1 << 12
    signs = np.empty((-(-n // 8), DRAWN_SIGNS), dtype=np.uint8)
    for start in range(0, DRAWN_SIGNS, step):
        drawn = generator.integers(2, size=(min(step, DRAWN_SIGNS - start), n), dtype=np.int8)
        signs[:, start : start + step] = np.packbits(drawn, axis=1).T
    return signs
