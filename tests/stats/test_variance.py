from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from segbench.stats.variance import Components, Exchanged, Spread, components, components_from_spread, image_freedom

parts = st.floats(0, 1).map(lambda part: round(part, 6))
# Estimates of the variances that a coverage is averaged over.
DRAWN = 3000

some = st.builds(
    lambda seeds, images, seed, alone, both: Components(seeds, images, seed + both, alone + both, both),
    st.integers(2, 12),
    st.integers(1, 300),
    parts,
    parts,
    parts,
)


def equal_images(table, resamples=20_000):
    """Return the components of a table (seeds, images) of IoU on images of one size, the images drawn by bootstrap."""
    table = np.asarray(table, dtype=float)
    n = table.shape[1]
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), resamples)
    return components(table.mean(axis=1), drawn @ table.T / n, np.full(n, 1 / n))


def test_components_are_those_of_the_analysis_of_variance_of_a_two_way_table():
    generator = np.random.default_rng(1)
    seeds, images = 6, 25
    table = (
        generator.normal(size=(seeds, 1)) + generator.normal(size=(1, images)) + generator.normal(size=(seeds, images))
    )
    by_seed, by_image = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_image[None] + table.mean()
    of_seeds = images * by_seed.var(ddof=1)
    of_images = seeds * by_image.var(ddof=1)
    of_both = (rest**2).sum() / ((seeds - 1) * (images - 1))
    found = equal_images(table)
    assert found.seed == pytest.approx(of_seeds / (seeds * images))
    assert found.image == pytest.approx(of_images / (seeds * images), rel=0.03)
    assert found.interaction == pytest.approx(of_both / (seeds * images), rel=0.03)
    assert found.total == pytest.approx((of_seeds + of_images - of_both) / (seeds * images), rel=0.03)


def test_what_images_add_for_one_seed_is_the_variance_of_a_mean():
    values = np.random.default_rng(2).normal(size=(1, 30))
    found = equal_images(values)
    assert (found.seed, found.interaction, found.freedom) == (None, 0, 29)
    assert found.total == pytest.approx(values.var(ddof=1) / 30, rel=0.03)


def test_where_images_do_not_matter_it_is_the_t_interval_of_the_seeds():
    found = equal_images(np.array([[0.1], [0.3], [0.2], [0.6]]).repeat(5, axis=1))
    assert found.standard_error == pytest.approx(np.std([0.1, 0.3, 0.2, 0.6], ddof=1) / 2)
    assert found.freedom == pytest.approx(3)


def test_where_seeds_do_not_matter_it_is_the_t_interval_of_the_images():
    values = np.random.default_rng(3).normal(size=(1, 20))
    found = equal_images(values.repeat(4, axis=0))
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(20), rel=0.03)
    assert found.freedom == pytest.approx(19)


def exchanged(by_fold, shares):
    """Return what seeds give that are the sum of what their networks give, (seeds, folds)."""
    own, others = by_fold.T[:, None, :], (by_fold.sum(axis=1)[:, None] - by_fold).T[:, :, None]
    return Exchanged(own + others, np.array(shares))


def test_where_networks_add_up_the_variance_is_pooled_within_folds():
    by_fold = np.random.default_rng(4).normal(size=(3, 5))
    found = exchanged(by_fold, [0.2] * 5)
    assert found.variance() == pytest.approx(by_fold.var(axis=0, ddof=1).sum())


def test_an_exchange_that_leaves_nothing_to_be_scored_counts_as_none():
    values = np.array([[[0.5, np.nan], [0.7, 0.7]]])
    assert Exchanged(values, np.ones(1)).variance() == 0


@pytest.mark.parametrize(("shares", "freedom"), [([0.2] * 5, 10), ([0.5, 0.5], 4), ([1.0, 0.0], 2)])
def test_seeds_have_their_degrees_of_freedom_in_every_fold_that_decides(shares, freedom):
    found = exchanged(np.random.default_rng(5).normal(size=(3, len(shares))), shares)
    weights, nothing = np.full(20, 0.05), Spread(0.0, 0.0)
    of_three = components_from_spread(np.zeros(3), nothing, weights, found)
    assert of_three.seed_freedom == pytest.approx(freedom)
    assert of_three.critical(0.025) == pytest.approx(t.ppf(0.975, freedom))
    assert of_three.with_seeds(6).freedom == pytest.approx(5 * freedom / 2)


def test_the_critical_value_weighs_the_squares_of_both_quantiles():
    found = Components(seeds=4, image_freedom=40, seed=1.0, image=3.0, interaction=0.0)
    weight = 3 / 4**2 - 2 / 4**3
    expected = np.sqrt(weight * t.ppf(0.99, 3) ** 2 + (1 - weight) * t.ppf(0.99, 40) ** 2)
    assert found.critical(0.01) == pytest.approx(expected)
    assert t.sf(found.critical(0.025), found.freedom) == pytest.approx(0.025)


def coverage(seeds, image_freedom, share, level):
    """Return how often intervals hold the truth where seeds have this share of a variance that is only estimated.

    The estimates are scattered evenly over their distributions, so that few of them give the mean.
    """
    evenly = (np.arange(DRAWN) + 0.5) / DRAWN
    of_seeds = share * chi2.ppf(evenly, seeds - 1) / (seeds - 1)
    mixed = np.random.default_rng(0).permutation(evenly)
    of_images = (1 - share) * chi2.ppf(mixed, image_freedom) / image_freedom
    found = [Components(seeds, image_freedom, *both, 0.0) for both in zip(of_seeds, of_images, strict=True)]
    reach = np.array([one.critical((1 - level) / 2) * one.standard_error for one in found])
    return (2 * norm.cdf(reach) - 1).mean()


@pytest.mark.parametrize("seeds", [3, 6, 10])
@pytest.mark.parametrize("image_freedom", [19, 49, 200])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.9, 1.0])
def test_intervals_cover_what_they_say_whatever_the_share_of_the_seeds(seeds, image_freedom, share):
    assert 0.949 <= coverage(seeds, image_freedom, share, 0.95) <= 0.97
    assert coverage(seeds, image_freedom, share, 1 - 0.05 / 7) >= 1 - 0.06 / 7


@given(some, st.floats(-5, 5))
@example(Components(2, 2, 0.5, 0.5, 0.5), 1e-9)  # both are so near to 1 that quantiles round to 0
@example(Components(5, 2, 0.5, 0.5, 0.5), 1e-9)
@example(Components(5, 2, 0.5, 0.5, 0.5), 1e-7)
def test_a_p_lies_between_those_of_the_seeds_and_of_the_images(found, value):
    t_value = abs(value) / found.standard_error if found.standard_error else float("inf") if value else 0.0
    low, high = sorted(2 * t.sf(t_value, freedom) for freedom in (found.seeds - 1, found.image_freedom))
    assert low - 1e-9 <= found.p(value) <= high + 1e-9


@pytest.mark.parametrize("found", [Components(6, 50, 1e-8, 1e-8, 0.0), Components(3, 50, 1e-20, 1e-8, 0.0)])
def test_far_from_zero_p_is_negligible_and_no_less_than_zero(found):
    assert 0 <= found.p(1.0) < 1e-9


@given(some)
def test_the_interaction_counts_once(found):
    assert found.total == pytest.approx(found.seed + found.image - found.interaction)


@given(some)
def test_freedom_lies_between_those_of_seeds_and_of_images(found):
    low, high = sorted([found.seeds - 1, found.image_freedom])
    assert low <= found.freedom <= high


@given(some, st.integers(1, 20))
def test_more_seeds_never_add_error_and_leave_what_images_add(found, more):
    grown = found.with_seeds(found.seeds + more)
    assert found.image - found.interaction - 1e-9 <= grown.total <= found.total + 1e-9
    assert grown.with_seeds(found.seeds).total == pytest.approx(found.total)


def test_without_any_error_there_is_none():
    found = Components(6, 20, 0.0, 0.0, 0.0)
    assert (found.standard_error, found.freedom) == (0, 5)


@given(st.integers(2, 50))
def test_equal_images_have_one_degree_of_freedom_less_than_there_are(n):
    assert image_freedom(np.full(n, 1 / n)) == pytest.approx(n - 1)


def test_images_that_hold_nearly_all_decide_alone():
    assert image_freedom(np.array([0.5, 0.5, *np.full(100, 1e-6)])) == pytest.approx(2)


def test_a_difference_far_beyond_chance_with_two_seeds_has_the_p_of_its_seeds():
    found = Components(seeds=2, image_freedom=300.0, seed=1e-6, image=1e-6, interaction=0.0)
    # half of the variance is the seeds', whose t of one degree of freedom, far out, is all that counts
    quantile = 1.0 / found.standard_error * math.sqrt(2)
    assert found.p(1.0) == pytest.approx(2 * math.atan(1 / quantile) / math.pi, rel=1e-3)


@given(some, st.floats(1e-3, 5))
def test_with_its_p_an_interval_just_reaches_zero(found, value):
    p = found.p(value)
    assume(1e-190 < p < 1 and found.seed and found.standard_error)
    freedoms = found.seeds - 1, found.image_freedom
    # Where the smaller one is below what a float holds, the root, above 1e-190, is above this.
    between = sorted(max(1e-300, 2 * t.sf(value / found.standard_error, freedom)) for freedom in freedoms)
    assume(between[0] * (1 + 1e-6) < p < between[1] * (1 - 1e-6))
    root = brentq(lambda log_p: found.critical(math.exp(log_p) / 2) * found.standard_error - value, *np.log(between))
    assert math.log(p) == pytest.approx(root, abs=1e-9)
