from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from segbench.stats import bootstrap
from segbench.stats.difference import difference, estimate
from segbench.stats.measured import measure

from .leaderboards import World, evidence_of, leaderboard

RESAMPLES = 200


def simulate(**world):
    small = {"images": 20, "seeds": 4, "gains": (0.0, 0.02, 0.05)}
    return leaderboard(World(**small | world), np.random.default_rng(0)).evidence


@pytest.fixture(params=[2**25, 1000], ids=["at once", "in parts"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("seeds", [1, 4])
def test_scores_and_reported_pairs_are_to_the_bit_those_of_each_alone(seeds):
    found = simulate(seeds=seeds)
    pairs = [("method 2", "method 0"), ("method 0", "method 1")]
    measured = measure(found, pairs, resamples=RESAMPLES)
    assert [measured.difference(*pair) for pair in pairs] == [
        difference(found, *pair, resamples=RESAMPLES) for pair in pairs
    ]
    assert measured.estimate("method 1") == estimate(found, "method 1", resamples=RESAMPLES)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_the_mean_difference_of_every_two_methods_is_that_of_the_pair_alone(seeds):
    found = simulate(seeds=seeds)
    measured = measure(found, resamples=RESAMPLES)
    for pair in permutations(found.methods, 2):
        one, alone = measured.mean_difference(*pair), difference(found, *pair, resamples=RESAMPLES)
        assert one.by_seed == alone.by_seed
        numbers = ("estimate", "standard_error", "freedom", "p", "image_variance", "interaction_variance", "units")
        assert [getattr(one, name) for name in numbers] == pytest.approx([getattr(alone, name) for name in numbers])


def test_resamples_in_which_nothing_is_scored_are_left_out_of_every_part(monkeypatch):
    whole = np.zeros((2, 2, 6, 1))
    whole[:, :, :2] = 100
    found = evidence_of(np.round(whole * np.random.default_rng(0).random(whole.shape)), whole)
    one = measure(found, [("a", "b")], resamples=RESAMPLES)
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 400)
    parts = measure(found, [("a", "b")], resamples=RESAMPLES)
    assert parts.means.shape[1] == one.means.shape[1] < RESAMPLES
    assert parts.difference("a", "b") == one.difference("a", "b") == difference(found, "a", "b", resamples=RESAMPLES)


def test_memory_does_not_grow_with_methods_times_seeds(monkeypatch):
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 2**18)
    small = simulate(seeds=10, images=5)
    found = replace(
        small,
        methods=tuple(map(str, range(30))),
        hits=np.tile(small.hits, (10, 1, 1, 1)),
        whole=np.tile(small.whole, (10, 1, 1, 1)),
    )
    tracemalloc.start()
    measured = measure(found, resamples=10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = measured.means.nbytes + measured.interactions.nbytes
    assert kept < peak < 30 * 10 * 10_000 * 8  # what the scores of all resamples would fill
