from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from segbench.stats.paired import ENOUGH_SEEDS, paired, sign_flip_floor

values = st.dictionaries(st.integers(0, 9), st.none() | st.floats(0, 1))


def test_only_seeds_that_both_have_are_compared():
    found = paired({0: 0.5, 2: 0.75, 3: None, 4: 0.5}, {2: 0.5, 1: 0.1, 3: 0.5, 0: 0.5, 4: None})
    assert found.seeds == (0, 2)
    assert found.differences == (0.0, 0.25)


def test_the_spread_is_that_of_the_differences_and_not_of_the_methods():
    found = paired({0: 0.3, 1: 0.9}, {0: 0.2, 1: 0.8})
    assert found.summary == (pytest.approx(0.1), pytest.approx(0), 2)


def test_nothing_in_common_has_no_difference():
    assert paired({0: 0.5}, {1: 0.5}).summary == (None, None, 0)


@given(values, values)
def test_exchanging_the_methods_changes_the_sign(one, other):
    assert paired(other, one).differences == tuple(-difference for difference in paired(one, other).differences)


def test_fewer_than_six_seeds_are_exploratory():
    found = [paired(dict.fromkeys(range(n), 0.5), dict.fromkeys(range(n), 0.5)) for n in range(8)]
    assert [pair.is_exploratory for pair in found] == [True] * 6 + [False] * 2
    assert sign_flip_floor(ENOUGH_SEEDS - 1) > 0.05 > sign_flip_floor(ENOUGH_SEEDS)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_floor_is_the_p_of_differences_that_all_agree(n):
    differences = np.arange(1.0, n + 1)
    oracle = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_floor(n) == pytest.approx(oracle.pvalue)
    flipped = [abs(np.dot(signs, differences)) >= differences.sum() for signs in product((-1, 1), repeat=n)]
    assert sign_flip_floor(n) == np.mean(flipped)


def test_without_a_pair_nothing_is_told_apart():
    assert sign_flip_floor(0) == sign_flip_floor(1) == 1
