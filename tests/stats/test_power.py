from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nct, t

from segbench.stats.power import Question, of_seeds_alone, seeds_for, seeds_needed, smallest_effect
from segbench.stats.variance import Components


@pytest.mark.parametrize(
    ("sd", "effect", "seeds"), [(0.5, 1.0, 7), (0.5, 0.5, 18), (1.0, 2.0, 7), (1.0, 1.0, 18), (1.0, 0.5, 65)]
)
def test_seeds_for_an_effect_are_those_of_the_power_of_a_paired_t_test(sd, effect, seeds):
    difference_sd = sd * 2**0.5
    assert seeds_for(effect, difference_sd, 0.95) == seeds

    def power(n):
        shift, reach = effect / difference_sd * np.sqrt(n), t.ppf(0.975, n - 1)
        return nct.sf(reach, n - 1, shift) + nct.cdf(-reach, n - 1, shift)

    assert power(seeds) >= 0.79
    assert power(seeds - 1) < 0.8


def test_an_effect_that_no_number_of_seeds_shows_has_none():
    assert seeds_for(0.001, 1.0, 0.95) is None
    assert seeds_for(0.001, 0.0, 0.95) == 2


def test_the_smallest_effect_is_the_sum_of_two_quantiles():
    found = of_seeds_alone(10, 2.0)
    assert smallest_effect(found, 0.9) == pytest.approx(2 / np.sqrt(10) * (t.ppf(0.95, 9) + t.ppf(0.8, 9)))


def settled(question, found):
    reach = found.critical((1 - question.level) / 2) * found.standard_error
    return reach < abs(question.estimate) or abs(question.estimate) + reach <= question.margin


@given(st.floats(-0.05, 0.05), st.floats(0, 0.02), st.integers(2, 8), st.floats(0, 0.02), st.floats(0, 0.02))
def test_the_seeds_needed_are_the_first_that_settle_it(estimate, margin, seeds, seed_error, image_error):
    question = Question(estimate, margin, 0.95)
    found = Components(seeds, 30, seed_error**2, image_error**2, 0.0)
    needed = seeds_needed(question, found)
    if needed is None:
        assert not settled(question, found.with_seeds(100))
    else:
        assert settled(question, found.with_seeds(needed))
        assert needed == seeds or not settled(question, found.with_seeds(needed - 1))


def test_where_images_alone_hide_a_difference_no_number_of_seeds_settles_it():
    assert seeds_needed(Question(0.01, 0.005, 0.95), Components(3, 50, 1e-4, 1e-4, 0.0)) is None


def test_one_seed_tells_nothing_of_how_many_are_needed():
    assert seeds_needed(Question(0.5, 0.005, 0.95), Components(1, 50, None, 1e-6, 0.0)) is None
