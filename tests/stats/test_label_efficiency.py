from __future__ import annotations

from dataclasses import replace
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from segbench.stats.bootstrap import crossed_draws
from segbench.stats.evidence import Evidence
from segbench.stats.label_efficiency import exchange_rate

FRACTIONS = (0.125, 0.25, 0.5, 1.0)
PIXELS = 10**9


def evidence(scores, seeds=3, images=6):
    """Return the evidence of methods from scores: numbers, or arrays (seeds, images), in [0, 1]."""
    whole = np.full((len(scores), seeds, images, 1), PIXELS)
    shares = np.stack([np.broadcast_to(one, (seeds, images)) for one in scores.values()])
    names = tuple(f"image {number}" for number in range(images))
    hits = np.rint(shares * PIXELS).astype(np.int64)[..., None]
    return Evidence(tuple(scores), tuple(range(seeds)), names, hits, whole)


def rate(score, curve, fraction, *, fractions=FRACTIONS, level=0.95, **shape):
    """Return the exchange rate at a fraction of a method with a score against a curve over fractions."""
    names = {one: f"twin {one}" for one in fractions}
    scores = {"method": score, **dict(zip(names.values(), curve, strict=True))}
    return exchange_rate(crossed_draws(evidence(scores, **shape), 200), "method", fraction, names, level)


def line(fraction):
    """Return the score of a twin that gains 0.05 with each doubling of the labels."""
    return 0.5 + 0.05 * log2(8 * fraction)


@given(fraction=st.sampled_from(FRACTIONS), true=st.floats(0.125, 8))
def test_on_a_curve_that_rises_by_as_much_with_each_doubling_the_rate_is_the_true_one(fraction, true):
    found = rate(line(true * fraction), [line(one) for one in FRACTIONS], fraction)
    if true * fraction > 1 + 1e-6:
        assert (found.estimate, found.side, found.most) == (None, "above", 1 / fraction)
    elif true * fraction < 0.125 - 1e-6:
        assert (found.estimate, found.side, found.least) == (None, "below", 0.125 / fraction)
    elif found.side == "within":
        assert found.estimate == pytest.approx(true, rel=1e-6)


def test_between_two_fractions_the_curve_is_linear_in_the_logarithm():
    # 0.66 is halfway between 0.62 and 0.70, so half a doubling above 1/2
    assert rate(0.66, [0.5, 0.58, 0.62, 0.7], 0.125).estimate == pytest.approx(4 * 2**0.5)


@given(st.lists(st.floats(0.01, 0.1), min_size=4, max_size=4), st.sampled_from(FRACTIONS))
def test_a_method_that_is_its_own_twin_is_worth_its_labels(steps, fraction):
    curve = np.cumsum(steps)
    assert rate(curve[FRACTIONS.index(fraction)], curve, fraction).estimate == pytest.approx(1, rel=1e-6)


@given(st.lists(st.floats(0.1, 0.9), min_size=4, max_size=4), st.floats(0.05, 0.95))
def test_a_curve_that_falls_is_that_of_isotonic_regression(curve, score):
    monotone = IsotonicRegression().fit_transform(np.log2(FRACTIONS), curve)
    found = rate(score, curve, 0.125)
    if found.side == "within":
        assert np.interp(log2(0.125 * found.estimate), np.log2(FRACTIONS), monotone) == pytest.approx(score, abs=1e-6)
    else:
        assert score > monotone[-1] - 1e-6 if found.side == "above" else score < monotone[0] + 1e-6


def test_where_more_labels_gave_a_lower_score_the_mean_of_neighbours_counts():
    # 0.8 and 0.6 become 0.7, which 1/4 of the labels reach
    assert rate(0.7, [0.5, 0.8, 0.6, 0.9], 0.125).estimate == pytest.approx(2.0)


def test_where_the_curve_is_flat_the_fewest_labels_are_meant():
    assert rate(0.6, [0.5, 0.6, 0.6, 0.7], 0.25).estimate == pytest.approx(1.0)


@given(st.floats(0.3, 0.8), st.integers(1, 4))
def test_only_ratios_of_fractions_matter(score, halvings):
    curve = [0.4, 0.5, 0.6, 0.7]
    fewer = tuple(fraction / 2**halvings for fraction in FRACTIONS)
    assert rate(score, curve, 0.125) == rate(score, curve, 0.125 / 2**halvings, fractions=fewer)


def noisy(seed, true, fraction, *, seeds=5, images=30):
    """Return a method's scores and its twin's at each fraction, with effects of seeds, images and both."""
    random = np.random.default_rng(seed)
    of_images, of_seeds = random.normal(0, 0.08, images), random.normal(0, 0.01, (5, seeds, 1))
    of_both = random.normal(0, 0.02, (5, seeds, images))
    method, *curve = (
        np.clip(mean + of_images + of_seeds[i] + of_both[i], 0, 1)
        for i, mean in enumerate([line(true * fraction), *(line(one) for one in FRACTIONS)])
    )
    return rate(method, curve, fraction, seeds=seeds, images=images)


def test_the_interval_holds_the_estimate_and_the_truth():
    found = noisy(1, true=2.0, fraction=0.25)
    assert 0.5 < found.low < found.estimate < found.high < 4
    assert found.low < 2.0 < found.high


def test_without_noise_the_interval_is_the_estimate():
    found = rate(0.66, [0.5, 0.58, 0.62, 0.7], 0.125)
    assert found.low == pytest.approx(found.estimate, rel=1e-6)
    assert found.high == pytest.approx(found.estimate, rel=1e-6)


def test_a_higher_level_gives_a_wider_interval():
    random = np.random.default_rng(4)
    method, *curve = (mean + random.normal(0, 0.01, (3, 6)) for mean in [0.57, 0.5, 0.55, 0.6, 0.65])
    wide, narrow = (rate(method, curve, 0.25, level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_surely_beyond_the_curve_only_one_bound_is_known():
    above, below = rate(0.9, [0.5, 0.55, 0.6, 0.65], 0.25), rate(0.1, [0.5, 0.55, 0.6, 0.65], 0.25)
    assert (above.estimate, above.low, above.high) == (None, 4.0, None)
    assert (below.estimate, below.low, below.high) == (None, None, 0.5)


def test_an_end_that_the_curve_does_not_reach_is_open():
    random = np.random.default_rng(4)
    method, *curve = (mean + random.normal(0, 0.15, (3, 6)) for mean in [0.58, 0.5, 0.55, 0.6, 0.65])
    found = rate(method, curve, 0.25)
    assert (found.low, found.high) == (None, None)


def test_seeds_that_start_anew_in_each_fold_tell_more_of_a_rate():
    folds = np.arange(30) % 5
    networks = np.random.default_rng(0).normal(0, 0.02, (5, 3, 5))[:, :, folds]
    method, *curve = (mean + moved for mean, moved in zip([0.6, *map(line, FRACTIONS)], networks, strict=True))
    names = {one: f"twin {one}" for one in FRACTIONS}
    found = evidence({"method": method, **dict(zip(names.values(), curve, strict=True))}, images=30)
    anew, alike = (
        exchange_rate(crossed_draws(replace(found, folds=of), 200), "method", 0.25, names)
        for of in (tuple(folds), None)
    )
    assert anew.estimate == alike.estimate
    assert alike.low < anew.low < anew.estimate < anew.high < alike.high


def test_intervals_cover_the_true_rate():
    def covers(seed):
        found = noisy(seed, true=1.5, fraction=0.25)
        return (found.low or 0.0) <= 1.5 <= (found.high or np.inf)

    assert 0.91 <= np.mean([covers(seed) for seed in range(300)]) <= 0.99


def test_one_seed_has_an_interval_over_images_only():
    random = np.random.default_rng(2)
    of_images, *of_cells = random.normal(0, 0.01, (6, 1, 20))
    means = [0.575, 0.5, 0.55, 0.6, 0.65]
    method, *curve = (mean + of_images + own for mean, own in zip(means, of_cells, strict=True))
    found = rate(method, curve, 0.25, seeds=1, images=20)
    assert found.low < found.estimate < found.high
