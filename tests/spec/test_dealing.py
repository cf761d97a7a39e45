from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.spec.dealing import combinations, dealt

KEYS = st.sampled_from(["lr", "weight", "crop", "decay"])
VALUES = st.integers(1, 4).map(lambda number: list(range(number)))
SPACES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)
SEEDS = st.integers(0, 2**63 - 1)


def test_combinations_are_counted():
    assert combinations({"a": [1, 2, 3], "b": [1, 2]}) == 6


@given(SPACES, SEEDS)
def test_as_many_trials_as_combinations_are_all_of_them(space, seed):
    hands = dealt(space, combinations(space), seed)
    assert len({tuple(sorted(hand.items())) for hand in hands}) == combinations(space)
    assert all(set(hand) == set(space) for hand in hands)


@given(SPACES, SEEDS, st.data())
def test_fewer_trials_are_the_first_of_more(space, seed, data):
    trials = data.draw(st.integers(0, combinations(space)))
    assert dealt(space, trials, seed) == dealt(space, combinations(space), seed)[:trials]


@given(SPACES, SEEDS)
def test_over_all_combinations_every_value_of_a_key_comes_equally_often(space, seed):
    hands = dealt(space, combinations(space), seed)
    for key in space:
        assert len(set(Counter(hand[key] for hand in hands).values())) == 1


@given(VALUES, VALUES, SEEDS)
def test_spaces_that_share_a_key_try_the_same_values_in_the_same_trials(values, others, seed):
    alone = dealt({"lr": values}, len(values), seed)
    for name in ("first", "weight"):  # sorts before lr, and after
        beside = dealt({"lr": values, name: others}, len(values), seed)
        assert [hand["lr"] for hand in beside] == [hand["lr"] for hand in alone]


@given(st.permutations([0.1, 0.2, 0.4, 0.8]), SEEDS)
def test_the_order_of_the_list_does_not_count(values, seed):
    ordered = [0.1, 0.2, 0.4, 0.8]
    expected = [ordered[hand["lr"]] for hand in dealt({"lr": ordered}, 4, seed)]
    assert [values[hand["lr"]] for hand in dealt({"lr": values}, 4, seed)] == expected


def test_another_seed_deals_otherwise():
    assert len({tuple(hand["lr"] for hand in dealt({"lr": [1, 2, 3, 4]}, 4, seed)) for seed in range(50)}) > 12


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], [{"use": "a"}, {"use": "b"}], [None, 1.0], [True, "x"]])
def test_values_may_be_anything_that_a_file_can_hold(values):
    assert sorted(hand["key"] for hand in dealt({"key": values}, 2, seed=0)) == [0, 1]
