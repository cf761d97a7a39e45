from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from segbench.stats.sign_flip import ENOUGH_SEEDS, EXACT_UP_TO, sign_flip_floor, sign_flip_p

differences = st.lists(st.integers(-1000, 1000).map(lambda points: points / 1000), min_size=2, max_size=8)


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
    assert sign_flip_floor(ENOUGH_SEEDS - 1) > 0.05 > sign_flip_floor(ENOUGH_SEEDS)


def test_without_a_pair_nothing_is_told_apart():
    assert sign_flip_floor(0) == sign_flip_floor(1) == 1
    assert sign_flip_p([]) == sign_flip_p([0.3]) == sign_flip_p([0.0, 0.0]) == 1


def test_rounding_does_not_tell_equal_sums_apart():
    assert sign_flip_p([0.1, 0.2, 0.3]) == 0.25
    assert sign_flip_p([0.1 + 0.2, -0.3, 0.0]) == 1


def test_with_many_differences_drawn_signs_come_near_the_exact_p():
    found = [1.0] * 17 + [-1.0] * 7
    exact = 2 * sum(comb(24, k) for k in range(8)) / 2**24  # of 24 signs, 7 or fewer of one kind
    assert len(found) > EXACT_UP_TO
    assert sign_flip_p(found) == pytest.approx(exact, abs=0.004)
