from __future__ import annotations

import numpy as np

from segbench.stats.defined import mean, means, numbers, ratio


def test_what_is_not_defined_is_left_out_without_a_warning():
    values = np.array([[1.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(means(values, axis=0), [1, np.nan])
    np.testing.assert_array_equal(means(values, axis=1), [1, np.nan])
    assert mean(values) == 1
    assert mean(values[1]) is None
    assert numbers(values[0]) == [1.0, None]


def test_nothing_is_divided_by_nothing():
    np.testing.assert_array_equal(ratio(np.array([1, 0]), np.array([4, 0])), [0.25, np.nan])
    assert ratio(3, 4) == 0.75
    assert np.isnan(ratio(np.int64(0), np.int64(0)))
