"""Variance components of a mean over crossed seeds and images, and the t quantiles of its intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, hypot, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


# The smallest p that is computed: quantiles of t do not exist below it.
SMALLEST_P = 1e-200
# Above it a p is not told from 1: the quantiles of t there, right to some 1e-8, are rounding.
LARGEST_P = 1 - 1e-6
# Above it the noncentral t is that of its limit to five digits, and inverting it takes ever longer.
LARGE_T = 1000.0


@dataclass(frozen=True)
class Components:
    """What chance adds to a mean over `seeds` seeds on some images, as variances.

    `seed` is None with one seed: what differs between seeds is then unknown. `seed` and `image` both hold
    `interaction`. `image_freedom` are the degrees of freedom of `image`. A cross-validated seed is so many equally
    important `networks` that start independently, 1 where it is a single one.
    """

    seeds: int
    image_freedom: float
    seed: float | None
    image: float
    interaction: float
    networks: float = 1.0

    @property
    def seed_freedom(self) -> float:
        """The degrees of freedom of `seed`: seeds differ in each of their networks."""
        return (self.seeds - 1) * self.networks

    @property
    def total(self) -> float:
        """The variance of the mean."""
        return (self.seed or 0.0) + self._image_alone

    @property
    def standard_error(self) -> float:
        """The square root of `total`."""
        return sqrt(self.total)

    def critical(self, tail: float) -> float:
        """Return how many standard errors an estimate lies above the truth with this probability, below 1/2.

        With t of the seeds, u of the images and the seeds' share s of the variance it is sqrt(w t^2 + (1 - w) u^2).
        That with w = s is W. G. Howe's ("Approximate confidence limits on the mean of X + Y where X and Y are two
        tabled independent random variables", JASA 1974); here w = 3 s^2 - 2 s^3, which is less where s is small. Both
        are exact where all variance is of one kind. Between, 95 % intervals of 3 seeds and 50 images cover up to 97.7 %
        with Howe's weight, up to 96.7 % with this one, and 95 % at least with either (tests/stats/test_variance.py);
        with the single degrees of freedom of Satterthwaite it is 92 % where a few seeds happen to agree.
        """
        if self.seed is None:
            return -quantile(tail, self.image_freedom)
        share = self.seed / self.total if self.total > 0 else 1.0
        weight = share**2 * (3 - 2 * share)
        of_seeds, of_images = quantile(tail, self.seed_freedom), quantile(tail, self.image_freedom)
        return hypot(sqrt(weight) * of_seeds, sqrt(1 - weight) * of_images)  # the squares of some are too large

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the t that gives the same 95 % interval."""
        return self.freedom_at(0.025)

    def freedom_at(self, tail: float) -> float:
        """Return the degrees of freedom of the t that is exceeded as `critical` is with this probability."""
        if self.seed is None:
            return self.image_freedom
        least, most = sorted([self.seed_freedom, self.image_freedom])
        return min(max(freedom_for(self.critical(tail), 1 - tail), least), most)

    def p(self, value: float) -> float:
        """Return the two-sided p of a mean of this value, with which an interval at the level 1 - p just reaches 0.

        It lies between those of the seeds' and of the images' t. Below 1e-200 the larger of these is given.
        """
        if self.seed is None or self.standard_error == 0:
            return two_sided_p(value, self.standard_error, self.image_freedom)
        freedoms = self.seed_freedom, self.image_freedom
        least, most = sorted(two_sided_p(value, self.standard_error, freedom) for freedom in freedoms)
        if most < SMALLEST_P or most > LARGEST_P:
            return most
        return self._p_between(abs(value) / self.standard_error, max(least, SMALLEST_P), most)

    def _p_between(self, t: float, least: float, most: float) -> float:
        """Return the p of a mean that lies t standard errors from 0."""

        def beyond(log_p: float) -> float:
            return log(self.critical(exp(log_p) / 2) / t)  # nearly straight

        if beyond(log(least)) <= 0:
            return least
        return most if beyond(log(most)) >= 0 else exp(_find_root(beyond, log(least), log(most)))

    @property
    def _image_alone(self) -> float:
        """What differs between images for all seeds alike."""
        return max(self.image - self.interaction, 0.0)

    def with_seeds(self, seeds: int) -> Components:
        """Return what is to be expected of the same images with another number of seeds, 2 or more.

        What only seeds can tell shrinks with their number, what images add for all seeds alike stays. With one seed
        nothing is known of that number's effect, and the components are returned as they are.
        """
        if self.seed is None:
            return self
        interaction = self.interaction * self.seeds / seeds
        return replace(
            self,
            seeds=seeds,
            seed=self.seed * self.seeds / seeds,
            image=self._image_alone + interaction,
            interaction=interaction,
        )


def components(observed: NDArray[np.float64], drawn: NDArray[np.float64], weights: NDArray[np.float64]) -> Components:
    """Return the components from the values of each seed (seeds,) and those on drawn images (resamples, seeds).

    `weights` are the shares of the images, or clusters, in what decides the values, all above 0.
    """
    spread = Spread.of(drawn.mean(axis=1), mean_squares(apart(observed, drawn)))
    return components_from_spread(observed, spread, weights)


class Spread(NamedTuple):
    """What drawing images does to the values of some seeds: the variance of their mean, and how far they move apart.

    `interaction` is the mean over the resamples of the variance, over the seeds, of how far each was moved.
    """

    image: float
    interaction: float

    @classmethod
    def of(cls, means: NDArray[np.float64], interactions: NDArray[np.float64]) -> Spread:
        """Return it from the mean over the seeds and the variance of their moves in each resample."""
        return cls(float(means.var(ddof=1)), float(interactions.mean()))


def apart(observed: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far drawn images moved each seed (last axis) from what was observed, less the mean of all seeds."""
    moved = drawn - observed
    moved -= moved.mean(axis=-1, keepdims=True)
    return moved


def mean_squares(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variances over the seeds, the last axis, of what `apart` returns; 0 with one seed."""
    squares: NDArray[np.float64] = np.square(moves).sum(axis=-1) / max(moves.shape[-1] - 1, 1)
    return squares


class Exchanged(NamedTuple):
    """The values of cross-validated seeds, each with the images of one test fold as another seed's network has them.

    `values` (folds, seeds, seeds): of each seed with one fold of each seed, its own on the diagonal. `shares` (folds,)
    are those of the folds' images in what decides the values.
    """

    values: NDArray[np.float64]
    shares: NDArray[np.float64]

    def variance(self) -> float:
        """Return the variance of the value of one of 2 or more seeds, whose networks start independently.

        Half the mean square of what an exchange changes, summed over the folds: with values linear in the networks the
        variance within each fold, pooled, else a little more (B. Efron and C. Stein, "The jackknife estimate of
        variance", Annals of Statistics 1981). So nothing is linearised, not even where classes come and go.
        """
        own = np.diagonal(self.values, axis1=1, axis2=2)[..., None]
        changed = np.nan_to_num(self.values - own)  # no value: nothing is left to be scored
        seeds = self.values.shape[-1]
        return float(np.square(changed).sum() / (2 * seeds * (seeds - 1)))


def components_from_spread(
    observed: NDArray[np.float64], spread: Spread, weights: NDArray[np.float64], exchanged: Exchanged | None = None
) -> Components:
    """Return the components from the values of each seed (seeds,) and their spread; `weights` as for `components`.

    A bootstrap of n images makes variances too small by (n - 1) / n, which is put right.
    """
    seeds, units = len(observed), len(weights)
    image, interaction = (variance * (units / (units - 1)) for variance in spread)
    seed, networks = None, effective_number(exchanged.shares) if exchanged else 1.0
    if seeds > 1:
        seed = (exchanged.variance() if exchanged else float(observed.var(ddof=1))) / seeds
    return Components(seeds, image_freedom(weights), seed, image, interaction / seeds, networks)


def image_freedom(weights: NDArray[np.float64]) -> float:
    """Return the degrees of freedom of a variance to which images add in proportion to their squared weights.

    With equal weights they are the images less one. Where a few images hold most of a class, they are few, however many
    images there are: Satterthwaite's formula for known weights, as in R. M. Bell and D. F. McCaffrey, "Bias reduction
    in standard errors for linear regression with multi-stage samples", Survey Methodology 2002.

    >>> image_freedom(np.array([0.25, 0.25, 0.25, 0.25])), round(image_freedom(np.array([0.9, 0.05, 0.05])), 2)
    (3.0, 1.01)
    """
    return min(len(weights) - 1.0, effective_number(weights))


def effective_number(weights: NDArray[np.float64]) -> float:
    """Return how many equal weights would make as sure of a variance to which each adds in proportion to its square.

    >>> effective_number(np.array([0.5, 0.5])), round(effective_number(np.array([0.9, 0.1])), 2)
    (2.0, 1.02)
    """
    squares = weights**2
    return float(squares.sum() ** 2 / np.dot(squares, squares))


def quantile(probability: float, freedom: float) -> float:
    """Return the t that is not exceeded with this probability in (0, 1); degrees of freedom above 0.

    >>> round(quantile(0.975, 5), 3)
    2.571
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def freedom_for(t: float, probability: float) -> float:
    """Return the degrees of freedom with which a t above 0 is not exceeded with this probability.

    >>> round(freedom_for(quantile(0.975, 5), 0.975), 6)
    5.0
    """
    from scipy.special import stdtridf

    return float(stdtridf(probability, t))


def noncentrality(t: float, freedom: float, power: float) -> float:
    """Return the true difference, in standard errors, whose estimate lies above t of them with this probability.

    The estimate is normal and its standard error estimated with these degrees of freedom: a noncentral t. Where t is
    large, only the chance in the standard error counts, whose square follows chi-square.

    >>> round(noncentrality(quantile(0.975, 1), 1, 0.8), 2), round(noncentrality(quantile(0.975, 5), 5, 0.8), 2)
    (16.33, 3.51)
    """
    from scipy.special import chdtri, nctdtrinc

    if t > LARGE_T:
        return t * sqrt(float(chdtri(freedom, 1 - power)) / freedom)
    return float(nctdtrinc(freedom, 1 - power, t))


def _find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a continuous function is 0 between two places at which its signs differ, to 1e-12.

    Illinois: M. Dowell and P. Jarratt, "A modified regula falsi method for computing the root of an equation", BIT
    1971. scipy.optimize has better ones, and takes a third of a second to import, for which each report would wait.
    """
    at_low, at_high = function(low), function(high)
    while True:
        found = high - at_high * (high - low) / (at_high - at_low)
        value = function(found)
        if value == 0 or abs(found - high) <= 1e-12:
            return found
        low, at_low = (low, at_low / 2) if (value > 0) == (at_high > 0) else (high, at_high)
        high, at_high = found, value


def two_sided_p(value: float, standard_error: float, freedom: float) -> float:
    """Return the probability of a value at least as far from 0 if the truth is 0.

    Without any error it is 1 for a value of 0, else 0.
    """
    from scipy.special import stdtr

    if standard_error == 0:
        return float(value == 0)
    return float(2 * stdtr(freedom, -abs(value) / standard_error))
