from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, t, ttest_1samp

from segbench.errors import StatisticsError
from segbench.stats.bootstrap import by_cluster, crossed_draws
from segbench.stats.difference import (
    LEAST_SEEDS_FOR_SIGN_FLIPS,
    MOST_EXACT_SIGN_FLIPS,
    class_differences,
    difference,
    difference_from_draws,
    estimate,
    estimate_from_draws,
    sign_flip_floor,
    sign_flip_p,
)

from .leaderboards import World, evidence_of, leaderboard


def by_seed(*scores, images=4):
    """Return the evidence of methods with these scores by seed, the same on every image."""
    hits = np.rint(1000 * np.array(scores))[:, :, None, None].repeat(images, axis=2)
    return evidence_of(hits, np.full(hits.shape, 1000))


def simulate(seed=0, **world):
    small = {"images": 20, "seeds": 4, "gains": (0.0, 0.02, 0.05)}
    return leaderboard(World(**small | world), np.random.default_rng(seed)).evidence


def mirrored(found):
    low, high = found.interval()
    return (-found.estimate, -high, -low, found.standard_error, found.freedom, found.p, found.sign_flip_p)


def test_with_equal_images_the_p_is_that_of_the_paired_t_test_over_seeds():
    one, other = [0.71, 0.74, 0.70, 0.75, 0.73], [0.70, 0.70, 0.71, 0.72, 0.71]
    found = difference(by_seed(one, other), "a", "b")
    oracle = ttest_1samp(np.subtract(one, other), 0)
    assert found.estimate == pytest.approx(np.mean(np.subtract(one, other)))
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.interval(0.9) == pytest.approx(tuple(oracle.confidence_interval(0.9)))
    assert found.by_seed == pytest.approx(dict(enumerate(np.subtract(one, other))))
    assert found.sign_flip_p == sign_flip_p([0.01, 0.04, -0.01, 0.03, 0.02])


def test_with_equal_images_the_probability_is_the_share_of_seeds_won_with_ties_half():
    found = difference(by_seed([0.5, 0.6, 0.7, 0.7], [0.4, 0.7, 0.7, 0.6]), "a", "b")
    assert found.probability == pytest.approx(2.5 / 4, abs=0.01)
    assert found.probability_interval == (0.25, 1.0)  # percentiles of the mean of four out of 1, 0, 1/2, 1


def test_with_one_seed_the_interval_is_that_of_the_images():
    hits = np.random.default_rng(0).integers(200, 800, (2, 1, 30, 1))
    found = difference(evidence_of(hits, np.full(hits.shape, 1000)), "a", "b")
    by_image = (hits[0, 0, :, 0] - hits[1, 0, :, 0]) / 1000
    oracle = ttest_1samp(by_image, 0)
    assert (found.seeds, found.seed_variance, found.freedom) == (1, None, 29)
    assert found.interval() == pytest.approx(tuple(oracle.confidence_interval(0.95)), rel=0.1)
    assert found.standard_error == pytest.approx(by_image.std(ddof=1) / np.sqrt(30), rel=0.03)
    assert found.sign_flip_p == 1


def test_methods_that_are_the_same_to_the_bit_do_not_differ_at_all():
    found = simulate()
    twice = replace(found, hits=found.hits[[0, 0, 2]], whole=found.whole[[0, 0, 2]])
    nothing = difference(twice, "method 0", "method 1")
    assert (nothing.estimate, nothing.standard_error, nothing.p, nothing.sign_flip_p) == (0, 0, 1, 1)
    assert nothing.interval(0.999) == (0, 0)
    assert (nothing.probability, nothing.probability_interval) == (0.5, (0.5, 0.5))


def test_a_difference_without_any_error_is_certain():
    found = difference(by_seed([0.75, 0.75], [0.5, 0.5]), "a", "b")
    assert (found.estimate, found.standard_error, found.p, found.interval()) == (0.25, 0, 0, (0.25, 0.25))


@given(st.integers(0, 100))
def test_exchanging_the_methods_changes_the_sign_alone(seed):
    found = simulate(seed)
    one = difference(found, "method 1", "method 2", resamples=200)
    other = difference(found, "method 2", "method 1", resamples=200)
    assert mirrored(one) == pytest.approx((other.estimate, *other.interval(), *mirrored(other)[3:]))
    assert one.probability == pytest.approx(1 - other.probability)
    assert one.probability_interval == pytest.approx(
        (1 - other.probability_interval[1], 1 - other.probability_interval[0])
    )


@given(st.integers(0, 100), st.integers(1, 300))
def test_hits_added_in_proportion_to_both_methods_leave_their_difference(seed, added):
    found = simulate(seed, area=0.0, presence=1.0)
    whole = np.full(found.whole.shape, 20_000)
    one = difference(replace(found, whole=whole), "method 0", "method 1", resamples=100)
    other = difference(replace(found, whole=whole, hits=found.hits + added), "method 0", "method 1", resamples=100)
    assert (one.estimate, *one.interval(), one.p) == pytest.approx((other.estimate, *other.interval(), other.p))


def cross_validated(generator, seeds=3, folds=5, images=60, **spreads):
    """Return IoU in thousandths, (seeds, images), of images, of a network for each fold, and of both together."""
    spread = {"image": 40, "network": 60, "both": 30} | spreads
    fold = np.arange(images) % folds
    networks = generator.normal(0, spread["network"], (seeds, folds))[:, fold]
    of_images = generator.normal(0, spread["image"], images)
    return np.rint(500 + of_images + networks + generator.normal(0, spread["both"], (seeds, images))), tuple(fold)


def test_the_error_of_cross_validated_seeds_pools_what_seeds_differ_by_within_folds():
    generator = np.random.default_rng(0)
    (one, folds), (other, _) = (cross_validated(generator) for _ in range(2))
    hits = np.stack([one, other])[..., None]
    found = difference(replace(evidence_of(hits, np.full(hits.shape, 1000)), folds=folds), "a", "b")
    table = (one - other) / 1000
    by_fold = np.stack([table[:, np.array(folds) == fold].mean(axis=1) for fold in range(5)], axis=1)
    # An analysis of variance by hand: images, networks within their fold, and the rest, of which images hold a part.
    of_networks = (by_fold.var(axis=0, ddof=1) / 5**2).sum() / 3
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    of_images = table.mean(axis=0).var(ddof=1) / 60
    both = (rest**2).sum() / (59 * 2) / (3 * 60)
    assert found.seed_variance == pytest.approx(of_networks)
    assert found.standard_error**2 == pytest.approx(of_networks + of_images - both, rel=0.03)
    assert (found.networks, found.components.seed_freedom) == (pytest.approx(5), pytest.approx(10))
    assert found.sign_flip_p == sign_flip_p(table.mean(axis=1))


def test_the_squared_error_of_cross_validated_seeds_is_on_average_that_of_their_mean():
    generator, errors = np.random.default_rng(1), []
    for _ in range(150):
        table, folds = cross_validated(generator)
        found = replace(evidence_of(table[None, ..., None], np.full((1, *table.shape, 1), 1000)), folds=folds)
        errors.append(estimate(found, "a", resamples=300).standard_error ** 2)
    expected = (40**2 / 60 + 60**2 / 15 + 30**2 / 180) / 1000**2
    assert np.mean(errors) == pytest.approx(expected, rel=0.1)  # its own error is 3 %


def test_a_class_that_a_network_predicts_where_there_is_none_counts_between_seeds():
    # The second class is nowhere in truth; a network that predicts it halves the score of its seed.
    hits, whole = np.zeros((2, 1, 3, 4, 2)), np.zeros((2, 1, 3, 4, 2))
    hits[..., 0], whole[..., 0] = 50, 100
    whole[1, 0, 1, 0, 1] = 7
    never, once = (
        estimate(replace(evidence_of(*pair), folds=(0, 0, 1, 1)), "a", resamples=50)
        for pair in zip(hits, whole, strict=True)
    )
    assert never.seed_variance == 0
    assert once.seed_variance == pytest.approx(np.var([0.5, 0.25, 0.5], ddof=1) / 3)


def test_draws_made_once_give_what_each_pair_gives_by_itself():
    found = simulate()
    draws = crossed_draws(found, 300)
    assert difference_from_draws(draws, "method 2", "method 0") == difference(
        found, "method 2", "method 0", resamples=300
    )
    assert estimate_from_draws(draws, "method 1") == estimate(found, "method 1", resamples=300)


def test_the_folds_of_clusters_are_those_of_their_images():
    found = simulate(folds=2)
    pairs = tuple(f"{i % 2} {i // 4}" for i in range(20))
    grouped = by_cluster(replace(found, clusters=pairs))
    assert grouped.folds == tuple(int(name[0]) for name in grouped.images)
    one, other = (crossed_draws(some, 10) for some in (replace(found, clusters=pairs), found))
    assert np.array_equal(one.exchanged, other.exchanged)


def test_the_interval_of_a_score_is_that_of_its_seeds_where_images_are_equal():
    found = estimate(by_seed([0.71, 0.74, 0.70]), "a")
    assert found.estimate == pytest.approx(0.71666667)
    assert found.interval() == pytest.approx(tuple(ttest_1samp([0.71, 0.74, 0.70], 0).confidence_interval()))


def test_the_reach_of_an_interval_is_t_times_the_error():
    found = difference(simulate(), "method 0", "method 1")
    low, high = found.interval()
    assert high - found.estimate == pytest.approx(found.estimate - low)
    assert high - found.estimate == pytest.approx(t.ppf(0.975, found.freedom) * found.standard_error)


@given(st.integers(0, 100))
def test_the_interval_at_the_level_of_its_p_just_reaches_zero(seed):
    found = difference(simulate(seed), "method 0", "method 2", resamples=100)
    assert min(map(abs, found.interval(1 - found.p))) == pytest.approx(0, abs=1e-7)


def test_each_class_has_the_difference_it_would_have_alone():
    found = simulate()
    classes = class_differences(found, "method 2", "method 0", resamples=300)
    alone = [difference(found.of_classes([i]), "method 2", "method 0", resamples=300) for i in range(4)]
    assert classes == alone
    assert np.mean([one.estimate for one in classes]) == pytest.approx(
        difference(found, "method 2", "method 0", resamples=300).estimate
    )


def test_a_class_in_a_single_image_or_cluster_has_no_difference():
    hits = np.full((2, 2, 4, 3), 50)
    whole = np.full((2, 2, 4, 3), 100)
    hits[:, :, 1:, 1], whole[:, :, 1:, 1] = 0, 0
    hits[0, 1, :, 2], whole[0, 1, :, 2] = 0, 0
    found = evidence_of(hits, whole)
    first, single, unseen = class_differences(found, "a", "b", resamples=50)
    assert (first.estimate, first.units) == (0, 4)
    assert (single, unseen) == (None, None)
    clustered = replace(found, clusters=("s", "s", "s", "s"))
    assert class_differences(clustered, "a", "b", resamples=50) == [None, None, None]


def test_clusters_count_as_what_was_drawn():
    found = difference(simulate(images=20, cluster=5), "method 0", "method 1")
    assert (found.images, found.units) == (20, 4)
    assert found.image_freedom <= 3


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(StatisticsError, match=r"nothing was counted of 'c'\. Available: a, b"):
        difference(by_seed([0.5, 0.5], [0.5, 0.5]), "a", "c")


# Sums of such fractions are exact, so that scipy and segbench find the same of them equal.
differences = st.lists(st.integers(-1024, 1024).map(lambda points: points / 1024), min_size=2, max_size=8)


@given(differences)
def test_the_p_is_that_of_scipy(found):
    oracle = permutation_test((found,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(found) == pytest.approx(oracle.pvalue)


@given(differences)
def test_neither_order_nor_the_direction_of_the_comparison_matters(found):
    assert sign_flip_p(found) == sign_flip_p(found[::-1]) == sign_flip_p([-value for value in found])


def test_a_hand_worked_case():
    # Of the eight sums of ±1 ±2 ±4 those at least as far from 0 as 1 + 2 + 4 - 2 * 2 = 3 are ±7, ±5 and ±3.
    assert sign_flip_p([1, -2, 4]) == 6 / 8


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_floor_is_the_p_of_differences_that_all_agree(n):
    found = np.arange(1.0, n + 1)
    flipped = [abs(np.dot(signs, found)) >= found.sum() for signs in product((-1, 1), repeat=n)]
    assert sign_flip_floor(n) == sign_flip_p(found) == np.mean(flipped)


def test_six_seeds_are_the_first_that_can_fall_below_a_twentieth():
    assert sign_flip_floor(LEAST_SEEDS_FOR_SIGN_FLIPS - 1) > 0.05 > sign_flip_floor(LEAST_SEEDS_FOR_SIGN_FLIPS)


def test_without_a_pair_nothing_differs():
    assert sign_flip_floor(0) == sign_flip_floor(1) == 1
    assert sign_flip_p([]) == sign_flip_p([0.3]) == sign_flip_p([0.0, 0.0]) == 1


def test_sums_that_differ_by_rounding_count_as_equal():
    assert sign_flip_p([0.1, 0.2, 0.3]) == 0.25
    assert sign_flip_p([0.1 + 0.2, -0.3, 0.0]) == 1


@pytest.mark.parametrize("n", [21, 24, 50])
def test_the_drawn_signs_are_those_of_one_draw_of_all(n):
    found = np.random.default_rng(n).normal(0.2, 1, n)
    signs = 2.0 * np.random.default_rng(0).integers(2, size=(100_000, n), dtype=np.int8) - 1
    reached = np.sum(np.abs(signs @ found) >= abs(found.sum()))
    assert sign_flip_p(found) == (reached + 1) / 100_001


def test_with_many_differences_drawn_signs_come_near_the_exact_p():
    found = [1.0] * 17 + [-1.0] * 7
    exact = 2 * sum(comb(24, k) for k in range(8)) / 2**24  # of 24 signs, 7 or fewer of one kind
    assert len(found) > MOST_EXACT_SIGN_FLIPS
    assert sign_flip_p(found) == pytest.approx(exact, abs=0.004)
