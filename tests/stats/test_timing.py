from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from segbench.stats.timing import effective_number, is_known, ratio, throughput_interval

speeds = st.lists(st.floats(1, 1000), min_size=3, max_size=12)
pairs = st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000)), min_size=2, max_size=12)

# Their logarithms do not go on from one to the next, so that each block counts as one.
RESTLESS = [100.0, 110.0, 95.0, 108.0, 97.0, 105.0]


def scipys(logs, level=0.95):
    """The t interval of scipy for independent values."""
    return np.exp(stats.ttest_1samp(logs, 0).confidence_interval(level))


def test_blocks_that_go_up_and_down_have_the_t_interval_of_their_logarithms():
    assert throughput_interval(RESTLESS) == pytest.approx(scipys(np.log(RESTLESS)))
    assert throughput_interval(RESTLESS, level=0.8) == pytest.approx(scipys(np.log(RESTLESS), 0.8))


def test_the_ratio_has_the_t_interval_of_its_rounds():
    drift = np.array([1, 2, 4, 8, 16, 32])
    found = ratio(np.multiply(RESTLESS, drift), 10.0 * drift)
    assert found.interval == pytest.approx(scipys(np.log(RESTLESS) - np.log(10)))
    assert found.estimate == pytest.approx(stats.gmean(RESTLESS) / 10)


def test_too_few_blocks_have_no_interval():
    assert throughput_interval([100.0, 101.0]) is None
    assert throughput_interval([]) is None
    assert ratio([200.0], [100.0]) is None
    assert ratio([], [100.0, 100.0]) is None
    assert ratio([200.0, 202.0], [100.0, 100.0]) is not None


def test_a_round_of_only_one_method_is_left_out():
    assert ratio([*RESTLESS, 1.0], RESTLESS) == (1, 1, 1)


def test_equal_blocks_have_an_interval_of_no_width():
    assert throughput_interval([7.3] * 4) == pytest.approx((7.3, 7.3))
    assert ratio([0.3, 0.9], [0.1, 0.3]) == pytest.approx((3, 3, 3))


def test_blocks_that_drift_have_a_wider_interval_than_the_same_ones_shuffled():
    low, high = throughput_interval([95.0, 97.0, 100.0, 105.0, 108.0, 110.0])
    narrow = throughput_interval(RESTLESS)
    assert low < narrow.low < narrow.high < high


@given(speeds)
def test_the_interval_of_slowness_is_the_inverse_of_that_of_speed(blocks):
    low, high = throughput_interval(blocks)
    assert throughput_interval([1 / speed for speed in blocks]) == pytest.approx((1 / high, 1 / low))
    assert low <= stats.gmean(blocks) * (1 + 1e-9)
    assert high >= stats.gmean(blocks) * (1 - 1e-9)


@given(pairs)
def test_exchanging_the_methods_inverts_the_ratio(rounds):
    one, other = zip(*rounds, strict=True)
    estimate, low, high = ratio(one, other)
    assert low <= estimate * (1 + 1e-9)
    assert estimate <= high * (1 + 1e-9)
    assert ratio(other, one) == pytest.approx((1 / estimate, 1 / high, 1 / low))


@given(pairs, st.floats(0.5, 2))
def test_what_slows_both_alike_does_not_change_the_ratio(rounds, slower):
    one, other = np.transpose(rounds)
    assert ratio(slower * one, slower * other) == pytest.approx(ratio(one, other))


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=12, unique=True))
def test_the_effective_number_lies_between_one_and_the_length(values):
    assert 1 - 1e-9 <= effective_number(np.array(values, float)) <= len(values)


def test_the_effective_number_gives_the_variance_of_the_mean():
    correlation, n = 0.6, 400
    logs = correlated(correlation, n, 2000, np.random.default_rng(0))
    found = np.median([effective_number(series) for series in logs])
    assert found == pytest.approx(logs.var() / logs.mean(axis=1).var(), rel=0.1)


def correlated(correlation, n, series, random):
    """First-order series of mean 0 and variance 1."""
    steps = random.normal(size=(n, series))
    values = [steps[0]]
    for step in steps[1:]:
        values.append(correlation * values[-1] + np.sqrt(1 - correlation**2) * step)
    return np.transpose(values)


def covered(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


@pytest.mark.parametrize("rounds", [2, 3, 6, 30])
def test_the_interval_of_the_ratio_covers_in_spite_of_a_common_drift(rounds):
    random, truth, runs = np.random.default_rng(rounds), 1.3, 2000
    drift = 0.2 * correlated(0.9, rounds, runs, random)
    one = truth * np.exp(drift + 0.02 * random.normal(size=drift.shape))
    other = np.exp(drift + 0.02 * random.normal(size=drift.shape))
    found = [ratio(*blocks).interval for blocks in zip(one, other, strict=True)]
    assert 0.93 <= covered(found, truth) <= 0.97


@pytest.mark.parametrize(
    ("n", "correlation", "least"), [(5, 0.0, 0.94), (30, 0.0, 0.94), (30, 0.3, 0.92), (60, 0.6, 0.92)]
)
def test_the_interval_of_the_speed_covers_where_neighbours_are_alike(n, correlation, least):
    logs = 0.03 * correlated(correlation, n, 2000, np.random.default_rng(n))
    assert least <= covered(map(throughput_interval, np.exp(logs)), 1) <= 0.98


def test_as_if_independent_the_same_blocks_would_cover_far_less():
    logs = 0.03 * correlated(0.6, 60, 2000, np.random.default_rng(60))
    half = stats.t.ppf(0.975, 59) * stats.sem(logs, axis=1)
    assert np.mean(np.abs(logs.mean(axis=1)) <= half) < 0.75


def test_a_speed_is_known_when_the_ratio_to_the_first_method_lies_within_the_precision():
    random = np.random.default_rng(0)
    drift = np.exp(0.3 * random.normal(size=12))  # hits both, so the speeds alone are hardly known
    one, other = (list(100 * drift * np.exp(0.01 * random.normal(size=12))) for _ in range(2))
    assert ratio(one, other).high / ratio(one, other).estimate < 1.02
    assert is_known("b", {"a": one, "b": other}, 0.02)
    assert is_known("a", {"a": one, "b": other}, 0.02)
    assert not is_known("b", {"a": one, "b": other}, 0.001)
    assert not is_known("a", {"a": one}, 0.02)


def test_fewer_than_five_blocks_are_too_few_however_alike_they_are():
    assert not is_known("b", {"a": [1.0] * 4, "b": [1.0] * 4}, 0.02)
    assert is_known("b", {"a": [1.0] * 5, "b": [1.0] * 5}, 0.02)


def test_a_method_does_not_wait_for_ratios_that_cannot_become_better_known():
    noisy = [100.0, 150.0, 80.0, 120.0, 90.0, 130.0]
    assert not is_known("a", {"a": noisy, "b": [100.0] * 6}, 0.02)
    assert is_known("a", {"a": noisy, "b": [100.0] * 5}, 0.02)


@pytest.mark.parametrize("scatter", [0.005, 0.02, 0.05])
def test_a_ratio_that_was_measured_until_it_was_known_is_covered_nearly_as_often_as_any(scatter):
    random = np.random.default_rng(1)
    found = []
    for _ in range(1000):
        blocks = np.exp(scatter / np.sqrt(2) * random.normal(size=(2, 100)))
        rounds = next((n for n in range(5, 100) if is_known("b", {"a": blocks[0, :n], "b": blocks[1, :n]}, 0.02)), 100)
        found.append(ratio(blocks[1, :rounds], blocks[0, :rounds]).interval)
    assert 0.90 <= covered(found, 1) <= 0.98
