from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.summary import interval_of_repeat, summarize


def test_missing_values_do_not_count():
    assert summarize([1.0, None, 3.0]) == (2.0, pytest.approx(2**0.5), 2)


def test_one_value_has_no_standard_deviation():
    assert summarize([0.5]) == (0.5, None, 1)


def test_no_value_has_no_mean():
    assert summarize([None]) == (None, None, 0)


def test_equal_values_have_that_mean_and_no_spread():
    assert summarize([0.7, 0.7, 0.7]) == (0.7, 0.0, 3)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_mean_and_sample_standard_deviation_are_those_of_numpy(values):
    summary = summarize(values)
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_a_repeat_lies_as_near_as_the_pooled_spread_of_other_values_lets_expect():
    # s^2 = (2 * 0.01 + 1 * 0.02) / 3, and t(0.975, 3 degrees of freedom) = 3.1824 in any table
    half = 3.1824 * (0.04 / 3) ** 0.5 * 2**0.5
    assert interval_of_repeat(0.5, [[0.4, 0.5, 0.6], [0.1, 0.3], [0.9], []]) == pytest.approx(
        (0.5 - half, 0.5 + half), abs=1e-4
    )


def test_single_values_tell_no_spread():
    assert interval_of_repeat(0.5, [[0.5], [0.6], []]) is None


def test_repeats_of_normal_values_lie_in_their_intervals_as_often_as_is_said():
    draws = np.random.default_rng(0).normal(0.6, 0.02, (4000, 5))
    intervals = [interval_of_repeat(value, [others]) for value, _, *others in draws]
    inside = [low <= repeat <= high for (low, high), repeat in zip(intervals, draws[:, 1], strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.011)  # 3 standard errors
