from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau

from segbench.stats.preferences import Votes, fit_strengths, rank_by_votes, shares_of_wins, tau_of_methods


def vote(generator, strengths, voters, looks, of_voters=0.0, of_images=0.0, ties=0.0):
    """Return the wins of simulated voters: each pair of methods once a look, with tastes of voters and of images."""
    methods = len(strengths)
    tastes = generator.normal(0, of_voters, (voters, 1, methods)) + generator.normal(0, of_images, (1, looks, methods))
    felt = np.asarray(strengths) + tastes
    chances = 1 / (1 + np.exp(felt[:, :, None, :] - felt[:, :, :, None]))
    draws = np.where(generator.random(chances.shape) < chances, 1.0, 0.0)
    draws[generator.random(chances.shape) < ties] = 0.5
    upper = np.triu(draws, 1)
    return upper + np.triu(np.ones_like(draws), 1).transpose(0, 1, 3, 2) - upper.transpose(0, 1, 3, 2)


def test_two_methods_have_the_log_odds_of_their_wins_with_half_a_win_added():
    strengths = fit_strengths(np.array([[0.0, 12.5], [4.5, 0.0]]))
    assert strengths[0] - strengths[1] == pytest.approx(math.log(13 / 5), abs=1e-5)
    assert shares_of_wins(strengths) == pytest.approx([13 / 18, 5 / 18], abs=1e-5)


def test_strengths_are_those_of_a_plain_search_for_the_largest_likelihood():
    wins = np.array([[0.0, 9.5, 7, 12], [3.5, 0.0, 6, 8], [5, 4, 0.0, 7.5], [1, 3, 4.5, 0.0]])
    counted = wins + 0.5 / 3
    np.fill_diagonal(counted, 0)

    def loss(free):
        s = np.append(free, -free.sum())
        return (counted * np.log1p(np.exp(s[None] - s[:, None]))).sum()

    plain = minimize(loss, np.zeros(3), tol=1e-10).x
    assert fit_strengths(wins)[:3] == pytest.approx(plain, abs=1e-4)


def test_a_method_that_always_wins_has_a_finite_strength():
    assert np.isfinite(fit_strengths(np.array([[0.0, 6, 6], [0, 0.0, 6], [0, 0, 0.0]]))).all()


def test_only_ties_make_methods_equal():
    wins = np.full((2, 5, 3, 3), 0.5) * (1 - np.eye(3))
    found = rank_by_votes(Votes(("a", "b", "c"), wins, np.arange(5)), resamples=20)
    assert [one.value for one in found.shares.values()] == pytest.approx([0.5] * 3)
    assert found.shares["a"].interval == pytest.approx((0.5, 0.5))


def test_simulated_voters_reveal_the_order_of_known_strengths():
    wins = vote(np.random.default_rng(1), (1.0, 0.0, -1.0), voters=6, looks=30)
    found = rank_by_votes(Votes(("a", "b", "c"), wins, np.arange(30)), resamples=100)
    assert [found.strengths[name].value for name in "abc"] == pytest.approx([1, 0, -1], abs=0.35)
    assert all(one.interval.low < one.value < one.interval.high for one in found.strengths.values())


def test_one_voter_and_one_image_have_no_interval():
    wins = np.zeros((1, 1, 2, 2))
    wins[0, 0, 0, 1] = 1
    assert rank_by_votes(Votes(("a", "b"), wins, np.array([0]))).shares["a"].interval is None


def test_looks_of_one_image_are_drawn_together():
    wins = np.zeros((1, 4, 2, 2))
    wins[0, :, 0, 1] = [1, 1, 0, 0]
    wins[0, :, 1, 0] = [0, 0, 1, 1]
    together = rank_by_votes(Votes(("a", "b"), wins, np.array([0, 0, 1, 1])), resamples=200).shares["a"].interval
    assert together == pytest.approx((0.5 / 5, 4.5 / 5), abs=1e-4)  # at times one image is drawn twice


def test_the_agreement_of_methods_is_kendalls_tau():
    strengths, means = np.array([0.5, 0.1, -0.2, -0.4]), np.array([0.7, 0.72, 0.6, 0.6])
    assert tau_of_methods(strengths, means) == pytest.approx(kendalltau(strengths, means).statistic)
    assert math.isnan(tau_of_methods(strengths, np.full(4, 0.5)))


def test_the_agreement_of_images_counts_pairs_that_people_and_the_score_order_alike():
    wins = np.zeros((1, 4, 2, 2))
    wins[0, :, 0, 1], wins[0, :, 1, 0] = [1, 1, 1, 0.5], [0, 0, 0, 0.5]
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.4], [0.6, 0.5]])
    votes = Votes(("a", "b"), wins, np.arange(4), {"miou": scores}, {"miou": np.array([0.65, 0.3])})
    agreement = rank_by_votes(votes, resamples=50).agreements["miou"]
    assert agreement.of_images.value == pytest.approx((2 - 1) / math.sqrt(3 * 4))
    assert agreement.of_methods.value == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(("voters", "spread"), [(4, 0.0), (8, 0.5)])
def test_intervals_hold_the_share_that_endless_votes_would_come_to(voters, spread):
    strengths = (0.6, 0.0, -0.6)
    endless = vote(np.random.default_rng(99), strengths, 300, 300, spread, spread, ties=0.2)
    truth = shares_of_wins(fit_strengths(endless.sum(axis=(0, 1))))
    held = []
    for seed in range(80):
        wins = vote(np.random.default_rng(seed), strengths, voters, 20, spread, spread, ties=0.2)
        found = rank_by_votes(Votes(("a", "b", "c"), wins, np.arange(20)), resamples=200, seed=seed).shares
        held += [one.interval.low <= true <= one.interval.high for one, true in zip(found.values(), truth, strict=True)]
    assert np.mean(held) > 0.9
