from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.calibration import brier, expected_calibration_error, negative_log_likelihood


def bins(*filled):
    """Bins of one image, of which the first are filled with (pixels, sum of top probability, right)."""
    return np.array([*filled, *[(0.0, 0.0, 0.0)] * (15 - len(filled))])[None]


def test_bins_weigh_by_their_pixels():
    """|0.9 - 1| of 1 pixel and |0.6 - 1/3| of 3."""
    assert expected_calibration_error(bins((1, 0.9, 1), (3, 1.8, 1))) == pytest.approx(
        0.25 * 0.1 + 0.75 * (0.6 - 1 / 3)
    )


def test_bins_are_summed_over_images_before_they_are_compared():
    """One image is too sure and one not sure enough; together they are right on average."""
    both = np.concatenate([bins((1, 0.5, 1)), bins((1, 0.5, 0))])
    assert expected_calibration_error(both) == 0
    assert expected_calibration_error(both[:1]) == 0.5


def test_likelihoods_are_means_over_pixels():
    likelihood = np.array([[3.0, 1.0], [5.0, 0.0]])
    assert negative_log_likelihood(likelihood, 4) == 2
    assert brier(likelihood, 4) == 0.25


def test_scores_of_no_pixels_are_none():
    assert expected_calibration_error(bins()) is None
    assert negative_log_likelihood(np.zeros((1, 2)), 0) is None
    assert brier(np.zeros((1, 2)), 0) is None


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=15))
def test_it_lies_between_0_and_1(filled):
    error = expected_calibration_error(bins(*((n, n * top, round(n * right)) for n, top, right in filled)))
    assert 0 <= error <= 1
