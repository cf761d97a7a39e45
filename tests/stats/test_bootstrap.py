from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from segbench.errors import StatisticsError
from segbench.stats import bootstrap
from segbench.stats.bootstrap import Resampling, by_cluster, crossed_draws, resample, score

from .leaderboards import World, evidence_of, leaderboard


def simulate(**world):
    return leaderboard(
        World(**{"images": 12, "seeds": 3, "gains": (0.0,) * 3} | world), np.random.default_rng(0)
    ).evidence


def plainly(found, images, seeds):
    """Return the mean scores of the methods on images and seeds drawn, one pixel count at a time."""
    means = []
    for hits, whole in zip(found.hits, found.whole, strict=True):
        scores = []
        for seed in seeds:
            sums = hits[seed][images].sum(axis=0), whole[seed][images].sum(axis=0)
            scores.append(np.mean([hit / all_of_it for hit, all_of_it in zip(*sums, strict=True) if all_of_it]))
        means.append(np.mean(scores))
    return means


def multiplicities(drawn, n):
    return np.bincount(drawn, minlength=n)[None]


def test_a_resample_scores_all_methods_and_seeds_on_the_images_drawn():
    found = simulate()
    images, seeds = np.array([0, 0, 3, 4, 4, 4, 7, 8, 8, 9, 11, 11]), np.array([2, 0, 2])
    draws = score(found, Resampling(multiplicities(images, 12), multiplicities(seeds, 3)), 12)
    assert draws.means[0] == pytest.approx(plainly(found, images, seeds))
    assert draws.observed.mean(axis=1) == pytest.approx(plainly(found, np.arange(12), np.arange(3)))


def test_each_resample_draws_as_many_units_and_seeds_as_exist():
    drawn = resample(7, 4, resamples=500)
    assert (drawn.units.shape, drawn.seeds.shape) == ((500, 7), (500, 4))
    assert set(drawn.units.sum(axis=1)) == {7}
    assert set(drawn.seeds.sum(axis=1)) == {4}
    # Each of 500 * 7 draws takes one image of seven: a binomial count of mean 500 and variance 500 * 6 / 7.
    assert drawn.units.sum(axis=0) == pytest.approx(np.full(7, 500), abs=4 * np.sqrt(500 * 6 / 7))


def test_the_same_seed_draws_the_same_whatever_the_methods_and_the_chunks(monkeypatch):
    found = simulate()
    whole = crossed_draws(found, 100, seed=3)
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 2000)
    pair = crossed_draws(found.of("method 2", "method 0"), 100, seed=3)
    assert np.array_equal(pair.scores, whole.scores[:, [2, 0]])
    assert np.array_equal(pair.seed_shares, whole.seed_shares)
    assert not np.array_equal(crossed_draws(found, 100, seed=4).scores, whole.scores)


@given(st.permutations(range(6)), st.permutations(range(3)), st.permutations(range(3)))
def test_the_order_of_images_seeds_and_methods_changes_nothing(images, seeds, methods):
    found, drawn = simulate(images=6), resample(6, 3, 20)
    moved = replace(
        found,
        methods=tuple(found.methods[i] for i in methods),
        hits=found.hits[np.ix_(methods, seeds, images)],
        whole=found.whole[np.ix_(methods, seeds, images)],
    )
    one = score(found, drawn, 6)
    other = score(moved, Resampling(drawn.units[:, images], drawn.seeds[:, seeds]), 6)
    assert np.array_equal(other.scores, one.scores[:, methods][:, :, seeds])
    assert other.means == pytest.approx(one.means[:, methods])


def test_with_one_seed_the_spread_is_that_of_the_bootstrap_of_scipy():
    found = simulate(seeds=1, images=30, classes=1)
    hits, whole = found.hits[0, 0, :, 0], found.whole[0, 0, :, 0]
    oracle = stats.bootstrap(
        (hits, whole),
        lambda one, other, axis: one.sum(axis=axis) / other.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=10_000,
        rng=np.random.default_rng(0),
    )
    # Standard deviations of 10,000 resamples are known to 0.7 %.
    assert crossed_draws(found).means[:, 0].std(ddof=1) == pytest.approx(oracle.standard_error, rel=0.03)


def test_with_equal_images_the_spread_is_that_of_the_bootstrap_of_the_seeds():
    values = np.array([50, 60, 64, 80])
    hits = np.broadcast_to(values[None, :, None, None], (1, 4, 5, 1))
    oracle = stats.bootstrap((values / 100,), np.mean, n_resamples=10_000, rng=np.random.default_rng(0))
    drawn = crossed_draws(evidence_of(hits, np.full(hits.shape, 100))).means[:, 0]
    assert drawn.std(ddof=1) == pytest.approx(oracle.standard_error, rel=0.03)
    assert drawn.std(ddof=1) == pytest.approx((values / 100).std() / 2, rel=0.03)  # sd with divisor n, over sqrt(n)


def test_the_spread_of_a_mean_over_equal_images_is_the_analytic_one():
    hits = np.random.default_rng(1).integers(0, 101, (1, 1, 40, 1))
    drawn = crossed_draws(evidence_of(hits, np.full(hits.shape, 100))).means[:, 0]
    assert drawn.std(ddof=1) == pytest.approx((hits / 100).std() / np.sqrt(40), rel=0.03)


def test_images_of_a_cluster_are_drawn_together():
    found = simulate(images=12, cluster=4)
    grouped = by_cluster(found)
    assert grouped.images == ("0000", "0001", "0002")
    assert np.array_equal(grouped.hits[:, :, 1], found.hits[:, :, 4:8].sum(axis=2))
    draws = crossed_draws(found, 200)
    assert (draws.images, draws.weights.shape) == (12, (3, 3))
    assert len(np.unique(draws.scores[:, 0, 0].round(12))) <= 10  # three clusters drawn three times: 10 multisets


def test_what_is_exchanged_is_scored_as_if_it_were_so():
    found = replace(simulate(images=12, seeds=3), folds=(7, 8, 9) * 4)
    exchanged = crossed_draws(found, 1).exchanged
    for place, fold in enumerate((7, 8, 9)):
        within = np.array(found.folds) == fold
        for seed, other in product(range(3), repeat=2):
            pairs = ((counts[:, other], counts[:, seed]) for counts in (found.hits, found.whole))
            hits, whole = (np.where(within[:, None], *pair).sum(axis=1) for pair in pairs)
            expected = np.divide(hits, whole, out=np.full(hits.shape, np.nan), where=whole > 0)
            assert exchanged[:, place, seed, other] == pytest.approx(np.nanmean(expected, axis=1))


def test_without_test_folds_nothing_is_exchanged():
    assert crossed_draws(simulate(images=12), 1).exchanged.shape[1] == 0


def test_clusters_of_one_image_each_are_no_clusters():
    found = simulate()
    assert np.array_equal(
        crossed_draws(replace(found, clusters=found.images), 50).scores, crossed_draws(found, 50).scores
    )


def test_a_class_counts_where_it_occurs_in_the_images_drawn():
    # Of two images the second alone holds the second class: drawn twice, the first leaves one class to be averaged.
    found = evidence_of([[[[50, 0], [50, 30]]]], [[[[100, 0], [100, 100]]]])
    drawn = Resampling(np.array([[2, 0], [0, 2], [1, 1]]), np.ones((3, 1), dtype=np.int64))
    assert score(found, drawn, 2).means[:, 0] == pytest.approx([0.5, 0.4, 0.4])


def test_resamples_without_anything_to_be_scored_are_left_out():
    found = evidence_of([[[[50], [40], [0]]]], [[[[100], [100], [0]]]])
    drawn = Resampling(np.array([[0, 0, 3], [3, 0, 0]]), np.ones((2, 1), dtype=np.int64))
    assert score(found, drawn, 3).means[:, 0] == pytest.approx([0.5])


def test_weights_are_what_an_image_holds_of_the_classes():
    found = evidence_of([[[[0, 0], [0, 0], [0, 0]]]], [[[[10, 50], [30, 50], [0, 0]]]])
    draws = score(found, resample(3, 1, 5), 3)
    assert draws.weights == pytest.approx(np.array([[(0.25 + 0.5) / 2, (0.75 + 0.5) / 2]]))


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ([[100], [0]], "1 of 2 images or clusters hold anything to be scored; an interval needs at least 2"),
        ([[0], [0]], "0 of 2 images or clusters"),
        ([[100]], "1 of 1 images or clusters"),
    ],
)
def test_too_few_images_are_refused(whole, message):
    with pytest.raises(StatisticsError, match=message):
        crossed_draws(evidence_of(np.zeros((1, 1, len(whole), 1)), [[whole]]))


def test_a_method_without_anything_to_be_scored_is_refused():
    whole = np.array([[[[10], [10]]], [[[0], [0]]]])
    with pytest.raises(StatisticsError, match="a method has no class to be scored with one of its seeds"):
        crossed_draws(evidence_of(whole // 2, whole))
