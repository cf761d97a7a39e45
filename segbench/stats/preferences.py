"""How people rank methods: Bradley-Terry strengths from votes on pairs, and how far scores agree with people.

A method i is preferred to j with probability s_i / (s_i + s_j) (R. A. Bradley and M. E. Terry, "Rank analysis of
incomplete block designs", Biometrika 1952). A tie is half a win each way. Strengths are of maximum likelihood, found by
iterated Luce spectral ranking (L. Maystre and M. Grossglauser, NeurIPS 2015; choix). Half a win and half a loss of each
method, shared among its rivals, are added to the votes, so that a method which always wins has a finite strength.
Voters and images are crossed as seeds and images are in segbench/stats/bootstrap.py, and drawn with replacement;
intervals are percentiles over the draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .bootstrap import resample
from .summary import CONFIDENCE_LEVEL, Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


# Each is a fit by itself; 1,000 of them leave an end of an interval uncertain by some hundredth of its length.
RESAMPLES_OF_VOTES = 1000
_PRIOR = 0.5  # wins, and as many losses, that each method has beside its votes
_TOLERANCE = 1e-6  # of strengths, in natural logarithms


@dataclass(frozen=True)
class Votes:
    """What people preferred, of V voters, L looks (an image with the predictions of one seed) and K methods.

    `wins[v, l, i, j]` is how often voter v preferred i to j on look l, ties half, float64 (V, L, K, K). `units` (L,)
    are the numbers, from 0, of the images (or clusters of them) of the looks. `scores` are those of each look by the
    name of the score, (L, K), in [0, 1], NaN where unknown; `means` those of each method on all images, (K,).
    """

    methods: tuple[str, ...]
    wins: Array
    units: NDArray[np.int64]
    scores: Mapping[str, Array] = field(default_factory=dict)
    means: Mapping[str, Array] = field(default_factory=dict)

    @property
    def voters(self) -> int:
        """The number of voters."""
        return len(self.wins)

    @property
    def images(self) -> int:
        """The number of images or clusters."""
        return len(np.unique(self.units))


class Measured(NamedTuple):
    """A number with its interval at CONFIDENCE_LEVEL; no interval where there is one voter and one image."""

    value: float
    interval: Interval | None


class Agreement(NamedTuple):
    """Kendall's tau-b, in [-1, 1], between people and a score; None where one of both makes no difference.

    `of_methods` compares the order of the methods by strength and by their mean score; `of_images` compares, image by
    image, which of two methods people preferred there and which has the higher score there.
    """

    of_methods: Measured | None
    of_images: Measured | None


class Preferences(NamedTuple):
    """What people make of the methods: by method the strength, natural logarithm with mean 0, and the share of wins.

    `shares` are the probabilities that a method is preferred to another one, mean over the others, in [0, 1].
    """

    strengths: dict[str, Measured]
    shares: dict[str, Measured]
    agreements: dict[str, Agreement]


def fit_strengths(wins: Array, start: Array | None = None) -> Array:
    """Return the logarithms of strengths, (K,), with mean 0, from the wins of row over column, (K, K).

    >>> fit_strengths(np.array([[0.0, 7.0], [2.0, 0.0]])).round(4).tolist()  # log(7.5 / 2.5) / 2
    [0.5493, -0.5493]
    """
    import choix

    others = len(wins) - 1
    counted = wins + _PRIOR / others
    np.fill_diagonal(counted, 0.0)
    found = choix.ilsr_pairwise_dense(counted, initial_params=start, max_iter=10_000, tol=_TOLERANCE)
    return np.asarray(found - found.mean())


def shares_of_wins(strengths: Array) -> Array:
    """Return the probability of each method to be preferred to another one, mean over the others, (K,)."""
    beats = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    np.fill_diagonal(beats, 0.0)
    return np.asarray(beats.sum(axis=1) / (len(strengths) - 1))


def rank_by_votes(votes: Votes, resamples: int = RESAMPLES_OF_VOTES, seed: int = 0) -> Preferences:
    """Return strengths, shares of wins and agreements with scores, with intervals over voters and images."""
    observed = fit_strengths(votes.wins.sum(axis=(0, 1)))
    drawn = _draw(votes, observed, resamples, seed)
    strengths = np.stack([one.strengths for one in drawn]) if drawn else None
    shares = np.stack([shares_of_wins(one) for one in strengths]) if strengths is not None else None
    return Preferences(
        strengths=_by_method(votes, observed, strengths),
        shares=_by_method(votes, shares_of_wins(observed), shares),
        agreements={name: _agreement(votes, name, observed, drawn) for name in {**votes.means, **votes.scores}},
    )


class _Draw(NamedTuple):
    """Voters and looks drawn, as how often each was, and the strengths that follow."""

    voters: Array
    looks: Array
    strengths: Array


def _draw(votes: Votes, observed: Array, resamples: int, seed: int) -> list[_Draw]:
    """Return draws of voters and images; none where there is one of each."""
    if votes.voters == votes.images == 1:
        return []
    _, places = np.unique(votes.units, return_inverse=True)
    images, voters = resample(votes.images, votes.voters, resamples, seed)
    found = []
    for of_voters, of_looks in zip(voters.astype(float), images[:, places].astype(float), strict=True):
        wins = np.einsum("v,l,vlij->ij", of_voters, of_looks, votes.wins, optimize=True)
        found.append(_Draw(of_voters, of_looks, fit_strengths(wins, observed)))
    return found


def _by_method(votes: Votes, values: Array, drawn: Array | None) -> dict[str, Measured]:
    intervals = [_percentiles(column) for column in drawn.T] if drawn is not None else [None] * len(values)
    return {
        name: Measured(float(value), interval)
        for name, value, interval in zip(votes.methods, values, intervals, strict=True)
    }


def _agreement(votes: Votes, name: str, observed: Array, drawn: Sequence[_Draw]) -> Agreement:
    everyone = _Draw(np.ones(votes.voters), np.ones(len(votes.units)), observed)
    means, scores = votes.means.get(name), votes.scores.get(name)
    of_methods = _over_draws(lambda one: tau_of_methods(one.strengths, means), everyone, drawn)
    of_images = _over_draws(lambda one: _tau_of_images(votes.wins, scores, one), everyone, drawn)
    return Agreement(of_methods, of_images)


def _over_draws(measure: Callable[[_Draw], float], everyone: _Draw, drawn: Sequence[_Draw]) -> Measured | None:
    value = measure(everyone)
    if np.isnan(value):
        return None
    found = np.array([measure(one) for one in drawn])
    found = found[~np.isnan(found)]
    return Measured(value, _percentiles(found) if len(found) else None)


def tau_of_methods(strengths: Array, means: Array | None) -> float:
    """Return Kendall's tau-b between strengths and mean scores of the methods that have one; NaN if undefined."""
    if means is None:
        return float("nan")
    known = ~np.isnan(means)
    people, scored = (np.sign(values[:, None] - values[None, :]) for values in (strengths[known], means[known]))
    return _tau(people, scored, np.ones_like(people))


def _tau_of_images(wins: Array, scores: Array | None, drawn: _Draw) -> float:
    """Return Kendall's tau-b over the pairs of methods within each look; NaN if undefined."""
    if scores is None:
        return float("nan")
    won = np.einsum("v,vlij->lij", drawn.voters, wins)
    people = np.sign(won - won.transpose(0, 2, 1))
    scored = np.sign(np.nan_to_num(scores[:, :, None] - scores[:, None, :]))
    voted = (won + won.transpose(0, 2, 1)) > 0
    return _tau(people, scored, drawn.looks[:, None, None] * voted)


def _tau(people: Array, scored: Array, times: Array) -> float:
    """Return Kendall's tau-b of the signs of differences of two numbers, each counted so many times; NaN if undefined.

    It is the sum of products of both signs, over the root of the product of their squares' sums.
    """
    between = np.sqrt((times * people**2).sum() * (times * scored**2).sum())
    return float((times * people * scored).sum() / between) if between else float("nan")


def _percentiles(values: Array) -> Interval:
    low, high = np.quantile(values, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return Interval(float(low), float(high))
