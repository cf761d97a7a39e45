from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.stats.evidence import Evidence
from segbench.stats.tiers import tiers

from .leaderboards import World, leaderboard

NOISE = np.array([-0.01, 0.0, 0.01, 0.0])


def ranked(**means):
    """Return the evidence of methods with these scores, each with four seeds of its own spread on equal images."""
    turned = [np.roll(NOISE, place) for place in range(len(means))]
    scores = np.array([mean + noise for mean, noise in zip(means.values(), turned, strict=True)])
    hits = np.rint(10_000 * scores).astype(np.int64)[:, :, None, None].repeat(3, axis=2)
    return Evidence(tuple(means), (0, 1, 2, 3), ("a", "b", "c"), hits, np.full_like(hits, 10_000))


def test_a_method_that_is_worse_than_the_first_of_a_tier_starts_the_next():
    # With four seeds and six pairs, differences of .4 are told apart and those of .01 are not.
    assert tiers(ranked(good=0.9, best=0.902, poor=0.5, poorer=0.498)) == {"best": 1, "good": 1, "poor": 2, "poorer": 2}


def test_a_method_starts_a_tier_though_its_neighbour_above_may_be_as_good():
    # Steps of .02 are too small to be seen, two of them are not: c is as good as b perhaps, but worse than a.
    assert tiers(ranked(a=0.90, b=0.88, c=0.86)) == {"a": 1, "b": 1, "c": 2}


def test_a_single_method_is_the_best():
    assert tiers(ranked(a=0.5)) == {"a": 1}


def test_differences_within_the_margin_make_no_tier():
    hits = np.array([9004, 9000])[:, None, None, None].repeat(4, axis=1).repeat(3, axis=2)
    evidence = Evidence(("a", "b"), (0, 1, 2, 3), ("a", "b", "c"), hits, np.full_like(hits, 10_000))
    assert tiers(evidence) == {"a": 1, "b": 1}
    assert tiers(evidence, margin=0.0) == {"a": 1, "b": 2}


def test_one_seed_makes_no_tiers():
    hits = np.array([9000, 1000])[:, None, None, None].repeat(3, axis=2)
    assert tiers(Evidence(("a", "b"), (0,), ("a", "b", "c"), hits, np.full_like(hits, 10_000))) == {"a": 1, "b": 1}


@given(st.permutations(range(4)), st.integers(0, 20))
@settings(max_examples=30)  # of 24 orders
def test_the_order_of_the_methods_changes_nothing(order, seed):
    world = World(images=10, seeds=3, gains=(0.0, 0.0, 0.05, 0.1), difficulty=0.05)
    evidence = leaderboard(world, np.random.default_rng(seed)).evidence
    found = tiers(evidence, resamples=100)
    assert tiers(evidence.of(*(evidence.methods[i] for i in order)), resamples=100) == found


@pytest.mark.parametrize("seed", range(5))
def test_tiers_follow_the_ranking(seed):
    world = World(images=10, seeds=3, gains=(-0.1, 0.0, 0.05, 0.1), difficulty=0.05)
    evidence = leaderboard(world, np.random.default_rng(seed)).evidence
    found = list(tiers(evidence, resamples=100).values())
    assert found == sorted(found)
    assert set(found) == set(range(1, found[-1] + 1))
