from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.summary import summarize


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
