"""The crossed bootstrap: images and seeds drawn with replacement, the same draw for all methods.

Seeds and images are crossed: every seed's network sees every image. One draw of images, or of whole clusters of them,
therefore serves all drawn seeds and all methods (A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics
2007). Draws from images within each drawn seed would be independent of each other and intervals too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segbench.errors import StatisticsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .evidence import Evidence


RESAMPLES = 10_000
# The bytes that one chunk of resamples may fill; larger chunks are no faster.
CHUNK_BYTES = 2**23


class Resampling(NamedTuple):
    """What was drawn: how often each image or cluster, int64 (resamples, units), and each seed (resamples, seeds)."""

    units: NDArray[np.int64]
    seeds: NDArray[np.int64]


@dataclass(frozen=True)
class Draws:
    """Scores in each of many resamples, in [0, 1].

    - `observed` (methods, seeds): scores on the images as they are.
    - `scores` (resamples, methods, seeds): scores on the images drawn.
    - `seed_shares` (resamples, seeds): how often each seed was drawn, divided by the number of seeds; rows sum to 1.
    - `weights` (methods, units): the share of each image (or cluster) in a class's whole, averaged over classes and
      seeds; rows sum to 1. It shows how much a single image matters.
    - `exchanged` (methods, folds, seeds, seeds): scores on the images as they are of each seed, the images of one test
      fold as the network of each seed has them; NaN without any class. Without cross-validation there are no folds.
    - `folds` (units,): the test fold of each unit, counted from 0, the same of all without cross-validation.

    `images` is the number of all images; units are those of them, or their clusters, that hold anything to be scored.
    Resamples without anything to be scored are left out.
    """

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    images: int
    observed: NDArray[np.float64]
    scores: NDArray[np.float64]
    seed_shares: NDArray[np.float64]
    weights: NDArray[np.float64]
    exchanged: NDArray[np.float64]
    folds: NDArray[np.int64]

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean score of each method over the drawn images and seeds, shape (resamples, methods)."""
        means: NDArray[np.float64] = np.einsum("rms,rs->rm", self.scores, self.seed_shares)
        return means


def crossed_draws(evidence: Evidence, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draw images (or clusters) and seeds with replacement, and score all methods on each draw.

    What is drawn depends only on the number of images (or clusters) and of seeds and on `seed`, not on the methods.
    Raises StatisticsError if fewer than two images (or clusters) hold anything to be scored.
    """
    grouped = by_cluster(evidence)
    return score(grouped, resample(len(grouped.images), len(grouped.seeds), resamples, seed), len(evidence.images))


def crossed_draws_in_parts(evidence: Evidence, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Draws]:
    """Yield what `crossed_draws` returns, as many of the resamples at a time as fill a chunk."""
    grouped = by_cluster(evidence)
    units, seeds = resample(len(grouped.images), len(grouped.seeds), resamples, seed)
    observed = _observe(grouped, len(evidence.images))
    step = _rows(resamples, observed.observed.size)
    for rows in (slice(start, start + step) for start in range(0, resamples, step)):
        yield _score(observed, grouped, Resampling(units[rows], seeds[rows]))


def by_cluster(evidence: Evidence) -> Evidence:
    """Return the evidence with the counts of each cluster added up, as if each were one image."""
    if evidence.clusters is None:
        return evidence
    names, first, groups = np.unique(np.array(evidence.clusters), return_index=True, return_inverse=True)
    membership = np.zeros((len(names), len(groups)), dtype=np.int64)
    membership[groups, np.arange(len(groups))] = 1
    hits, whole = (np.einsum("gi,msik->msgk", membership, counts) for counts in (evidence.hits, evidence.whole))
    # Images of one cluster lie in one fold.
    folds = None if evidence.folds is None else tuple(evidence.folds[place] for place in first)
    return replace(evidence, images=tuple(names.tolist()), hits=hits, whole=whole, clusters=None, folds=folds)


def resample(units: int, seeds: int, resamples: int = RESAMPLES, seed: int = 0) -> Resampling:
    """Draw as many units and as many seeds as there are, with replacement, `resamples` times."""
    of_units, of_seeds = np.random.default_rng(seed).spawn(2)
    return Resampling(_multiplicities(units, resamples, of_units), _multiplicities(seeds, resamples, of_seeds))


def score(evidence: Evidence, resampling: Resampling, images: int) -> Draws:
    """Score all methods on each draw of a resampling; `evidence` is by unit drawn, `images` what those units hold."""
    return _score(_observe(evidence, images), evidence, resampling)


def _observe(evidence: Evidence, images: int) -> Draws:
    """Return the scores on the images as they are, without any resample."""
    scored = np.any([(whole > 0).any(axis=(0, 2)) for whole in evidence.whole], axis=0)
    if scored.sum() < 2:
        raise StatisticsError(
            f"{scored.sum()} of {len(evidence.images)} images or clusters hold anything to be scored; "
            "an interval needs at least 2"
        )
    weights = np.stack([_weights_of_one(whole[:, scored]) for whole in evidence.whole])
    (observed,) = _scores(evidence, np.ones((1, len(evidence.images)), dtype=np.int64))
    if np.isnan(observed).any():
        raise StatisticsError(
            "a method has no class to be scored with one of its seeds, so there is nothing to compare"
        )
    nothing = np.empty((0, *observed.shape)), np.empty((0, len(evidence.seeds)))
    folds = _number_folds(evidence)
    return Draws(
        evidence.methods, evidence.seeds, images, observed, *nothing, weights, _exchange(evidence, folds), folds[scored]
    )


def _number_folds(evidence: Evidence) -> NDArray[np.int64]:
    """Return the test fold of each unit, counted from 0."""
    if evidence.folds is None:
        return np.zeros(len(evidence.images), dtype=np.int64)
    return np.unique(np.array(evidence.folds), return_inverse=True)[1]


def _exchange(evidence: Evidence, folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what `Draws.exchanged` is."""
    seeds = len(evidence.seeds)
    if evidence.folds is None:
        return np.empty((len(evidence.methods), 0, seeds, seeds))
    membership = np.eye(folds.max() + 1, dtype=np.int64)[folds]
    found = []
    for counts in zip(evidence.hits, evidence.whole, strict=True):
        within = np.einsum("xsic,if->xcfs", np.stack(counts), membership)
        without = within.sum(axis=2, keepdims=True) - within
        hits, whole = (without[..., :, None] + within[..., None, :]).astype(np.float64)
        found.append(_mean_share(hits, whole))
    return np.stack(found)


def _score(observed: Draws, evidence: Evidence, resampling: Resampling) -> Draws:
    """Return the draws of a resampling, with what was observed."""
    scores, shares = _scores(evidence, resampling.units), resampling.seeds / len(evidence.seeds)
    undefined = np.isnan(scores).any(axis=(1, 2))
    if undefined.any():
        scores, shares = scores[~undefined], shares[~undefined]
    return replace(observed, scores=scores, seed_shares=shares)


def _weights_of_one(whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean share of each unit in the wholes (seeds, units, classes) of one method."""
    total = whole.sum(axis=1, keepdims=True)
    shares = np.divide(whole, total, out=np.zeros(whole.shape), where=total > 0)
    return np.asarray(shares.sum(axis=(0, 2)) / max(int((total > 0).sum()), 1))


def _multiplicities(units: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each unit is drawn in each resample; rows sum to the number of units."""
    drawn = np.empty((resamples, units), dtype=np.int64)
    rows = _rows(resamples, 2 * units)
    for start in range(0, resamples, rows):
        part = drawn[start : start + rows]
        drawn_units = generator.integers(units, size=part.shape) + np.arange(len(part))[:, None] * units
        part[:] = np.bincount(drawn_units.ravel(), minlength=part.size).reshape(part.shape)
    return drawn


def _scores(evidence: Evidence, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the scores of all methods and seeds on each draw, (resamples, methods, seeds); NaN without any class.

    In memory the resamples of each method and seed lie together, so that sums over seeds and classes run along them.
    """
    times = drawn.T.astype(np.float64, order="C")
    scores = np.empty((len(evidence.methods), len(evidence.seeds), len(drawn)))
    for of_method, hits, whole in zip(scores, evidence.hits, evidence.whole, strict=True):
        for rows, sums in _sums(np.stack([hits, whole]), times):
            of_method[:, rows] = _mean_share(*sums)
    return scores.transpose(2, 0, 1)


def _sums(counts: NDArray[np.int64], times: NDArray[np.float64]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield sums over the drawn units of counts (..., seeds, units, classes), a slice of the resamples at a time.

    `times` (units, resamples) is how often each unit was drawn, what is yielded (..., classes, seeds, resamples).
    Sums of pixels are whole numbers below 2^53, so they are exact in float64, and the same whatever the order.
    """
    by_class = np.moveaxis(counts, -1, -3).astype(np.float64, order="C")
    flat = by_class.reshape(-1, len(times))
    step = _rows(times.shape[1], len(flat) + len(times))
    for start in range(0, times.shape[1], step):
        rows = slice(start, start + step)
        yield rows, (flat @ times[:, rows]).reshape(*by_class.shape[:-1], -1)


def _mean_share(hits: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of hits / whole over the classes (first axis) that have a whole; NaN where none has."""
    if whole.all():
        return np.asarray((hits / whole).mean(axis=0))
    present = whole > 0
    shares = np.divide(hits, whole, out=np.zeros_like(hits), where=present)
    classes = present.sum(axis=0)
    found = np.full(classes.shape, np.nan)
    np.divide(shares.sum(axis=0), classes, out=found, where=classes > 0)
    return found


def _rows(resamples: int, columns: int) -> int:
    """Return how many resamples may be worked on at a time, each taking `columns` numbers of 8 bytes."""
    return max(1, min(resamples, CHUNK_BYTES // (8 * columns)))
