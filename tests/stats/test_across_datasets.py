from __future__ import annotations

import numpy as np
import pytest

from segbench.stats.across_datasets import judge_over_datasets, mean_ranks, rank


def judged(*values, **choices):
    return judge_over_datasets({"claim": {f"data {place}": value for place, value in enumerate(values)}}, **choices)[
        "claim"
    ]


def test_the_interval_is_that_of_t_over_the_datasets():
    # mean 0.02, sd 0.01 of 3 datasets; t(0.975, 2) = 4.302653 of a printed table
    found = judged(0.01, 0.02, 0.03)
    reach = 4.302653 * 0.01 / 3**0.5
    assert found.decision.interval == pytest.approx((0.02 - reach, 0.02 + reach))
    assert found.decision.difference.p == pytest.approx(0.0742, abs=1e-4)
    assert found.decision.verdict == "undecided"


def test_the_scatter_counts_as_no_less_than_what_seeds_and_images_add_on_each_dataset():
    # three datasets agree by luck, each within a standard error of 0.03: a mean with 0.03 / sqrt(3)
    values, errors = dict(enumerate((0.02, 0.0201, 0.0199))), dict.fromkeys(range(3), 0.03)
    found = judge_over_datasets({"claim": values}, {"claim": errors})["claim"].decision
    assert found.difference.standard_error == pytest.approx(0.03 / 3**0.5)
    assert found.verdict == "undecided"
    few = judge_over_datasets({"claim": values}, {"claim": {0: 0.03}})["claim"].decision
    assert few.difference.standard_error == pytest.approx(0.0001 / 3**0.5)


def test_it_says_how_many_datasets_would_decide():
    # with n of them 0.02 must exceed t(0.975, n - 1) * 0.01 / sqrt(n): 0.0159 with 4, for t(0.975, 3) = 3.182
    assert judged(0.01, 0.02, 0.03).needed == 4
    assert judged(0.3, -0.3, 0.3, -0.3, 0.001).needed is None


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.05, 0.051, 0.052, 0.049), "better"),
        ((-0.05, -0.051, -0.052, -0.049), "worse"),
        ((0.001, 0.0, -0.001, 0.0005), "equivalent"),
        ((0.05, 0.051), "undecided"),
    ],
)
def test_two_datasets_decide_nothing_and_more_do_by_their_interval(values, verdict):
    assert judged(*values).decision.verdict == verdict


def test_claims_are_one_family():
    alone = judged(0.05, 0.06, 0.07)
    both = judge_over_datasets({name: dict(enumerate((0.05, 0.06, 0.07))) for name in "ab"})["a"]
    assert both.decision.level == pytest.approx(0.975)
    assert both.decision.interval.low < alone.decision.interval.low
    assert judge_over_datasets({}) == {}


def test_intervals_over_datasets_cover_and_verdicts_seldom_mislead():
    # 2000 claims of a true gain of 0 on 5 datasets, where datasets differ and each is known with noise of its own size
    generator = np.random.default_rng(0)
    values = generator.normal(0, 0.01, (2000, 5)) + generator.normal(0, 1, (2000, 5)) * [0.002, 0.004, 0.01, 0.02, 0.01]
    found = [judged(*row.tolist(), margin=0.0).decision for row in values]
    assert 0.94 <= np.mean([one.interval.low <= 0 <= one.interval.high for one in found]) <= 0.98
    assert np.mean([one.verdict in ("better", "worse") for one in found]) <= 0.06


def test_ranks_are_those_of_each_row_with_ties_in_the_middle():
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.2, 0.1]])
    assert rank(scores).tolist() == [[1, 3, 2], [1.5, 1.5, 3]]


def test_mean_ranks_without_draws_or_with_two_datasets_have_no_interval():
    observed = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2]])
    assert [(one.mean, one.interval) for one in mean_ranks(observed)] == [(4 / 3, None), (5 / 3, None)]
    few = mean_ranks(observed[:2], [np.repeat(row[None], 9, axis=0) for row in observed[:2]])
    assert [one.interval for one in few] == [None, None]


def test_the_interval_of_a_mean_rank_covers_that_of_all_datasets():
    # 4 methods of true gains 0 to 3 points; datasets move each by 2 points, seeds and images by 1
    generator, gains = np.random.default_rng(0), 0.01 * np.arange(4)
    truth = rank(gains + generator.normal(0, 0.02, (100_000, 4))).mean(axis=0)
    held = []
    for _ in range(150):
        scores = gains + generator.normal(0, 0.02, (5, 4)) + generator.normal(0, 0.01, (5, 4))
        drawn = [row + generator.normal(0, 0.01, (200, 4)) for row in scores]
        found = mean_ranks(scores, drawn, seed=int(generator.integers(2**31)))
        held += [one.interval.low <= expected <= one.interval.high for one, expected in zip(found, truth, strict=True)]
    assert np.mean(held) >= 0.94


def test_the_same_draws_give_the_same_interval():
    generator = np.random.default_rng(0)
    drawn = [generator.normal(0.5, 0.1, (50, 3)) for _ in range(4)]
    observed = np.array([scores.mean(axis=0) for scores in drawn])
    assert mean_ranks(observed, drawn) == mean_ranks(observed, drawn)
