from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, nct, norm, t

from segbench.stats.difference import Difference
from segbench.stats.evidence import Evidence
from segbench.stats.summary import Interval
from segbench.stats.variance import Components, two_sided_p
from segbench.stats.verdict import (
    Question,
    holm_levels,
    judge,
    seed_components,
    seeds_for,
    seeds_needed,
    smallest_effect,
    tiers,
)

from .leaderboards import World, evidence_of, leaderboard

estimates = st.floats(-0.1, 0.1)


def measured(estimate, error=0.01, seeds=6):
    """Return a difference with this standard error, all of it from the seeds."""
    found = Components(seeds, 100, None, error**2, 0.0) if seeds == 1 else Components(seeds, 100, error**2, 0.0, 0.0)
    return Difference(
        estimate=estimate,
        standard_error=error,
        freedom=found.freedom,
        seeds=seeds,
        images=101,
        units=101,
        seed_variance=found.seed,
        image_variance=found.image,
        interaction_variance=0.0,
        image_freedom=100,
        by_seed=dict.fromkeys(range(seeds), estimate),
        p=two_sided_p(estimate, error, found.freedom),
        sign_flip_p=1.0,
        probability=0.5,
        probability_interval=Interval(0, 1),
    )


measurements = st.builds(measured, estimates, st.floats(0, 0.02), st.integers(1, 9))


# With six seeds t is 2.571 at 95 %.
@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (measured(0.026), "better"),
        (measured(0.025), "undecided"),
        (measured(-0.026), "worse"),
        (measured(0.0, 0.0019), "equivalent"),
        (measured(0.0, 0.0020), "undecided"),
        (measured(0.003, 0.0007), "equivalent"),
        (measured(0.0, 0.0), "undecided"),
        (measured(0.001, 0.0), "undecided"),
        (measured(0.0, 0.0001, seeds=2), "undecided"),
        (measured(0.3, 0.0001, seeds=2), "undecided"),
        (measured(-0.3, 0.0001, seeds=2), "undecided"),
        (measured(0.3, 0.0001, seeds=3), "better"),
        (measured(0.3, 0.0), "better"),
        (measured(0.3, seeds=1), "undecided"),
        (measured(0.0, 0.0001, seeds=1), "undecided"),
    ],
)
def test_verdicts_of_one_difference(found, verdict):
    assert judge({"it": found})["it"].verdict == verdict


def test_a_difference_surely_within_the_margin_is_equivalent_though_it_is_surely_not_zero():
    judged = judge({"it": measured(0.003, 0.0005)})["it"]
    assert 0 < judged.interval.low < judged.interval.high < 0.005
    assert judged.verdict == "equivalent"
    assert judge({"it": measured(0.003, 0.0005)}, margin=0.004)["it"].verdict == "better"


def test_each_of_a_family_is_judged_at_its_own_level():
    # Of three, 4.5 SE passes 1 - 0.05/3; the second, 2.7 SE with p = 0.043, is above 0.05/2 and stops the steps.
    judged = judge({"small": measured(0.005), "large": measured(0.045), "some": measured(0.027)})
    assert {name: one.verdict for name, one in judged.items()} == {
        "small": "undecided",
        "large": "better",
        "some": "undecided",
    }
    assert [judged[name].level for name in ("large", "some", "small")] == pytest.approx([1 - 0.05 / 3, 0.975, 0.975])
    assert judge({"some": measured(0.027)})["some"].verdict == "better"


def test_a_difference_of_one_seed_counts_in_the_family_but_opens_no_step():
    judged = judge({"one seed": measured(0.9, seeds=1), "six": measured(0.027)})
    assert judged["six"].level == judged["one seed"].level == 0.975
    assert judged["one seed"].interval == measured(0.9, seeds=1).interval(0.975)
    assert judged["one seed"].seeds_needed is None


def test_the_smallest_effect_is_that_of_the_level_of_the_verdict():
    judged = judge({"a": measured(0.01), "b": measured(0.02)})["a"]
    assert judged.smallest_effect == smallest_effect(measured(0.01).components, 0.975)
    assert judged.seeds_needed > 6
    assert judge({"a": measured(0.06)})["a"].seeds_needed == 6


@given(st.dictionaries(st.integers(0, 9), measurements, min_size=1))
def test_better_and_worse_never_contradict_the_interval(differences):
    for judged in judge(differences, margin=0.002).values():
        low, high = judged.interval
        assert low <= judged.difference.estimate <= high
        assert judged.verdict != "better" or low > 0
        assert judged.verdict != "worse" or high < 0
        assert judged.verdict != "equivalent" or max(-low, high) <= 0.002


@given(estimates, st.floats(0, 0.02))
def test_exchanging_the_methods_turns_the_verdict(estimate, error):
    turned = {"better": "worse", "worse": "better", "equivalent": "equivalent", "undecided": "undecided"}
    one, other = (judge({"it": measured(sign * estimate, error)})["it"] for sign in (1, -1))
    assert other.verdict == turned[one.verdict]


families = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(lambda found: dict(enumerate(found)))


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.03], [0.05]),
        # From the smallest on: 0.005 <= 0.05/4, 0.01 <= 0.05/3, 0.03 > 0.05/2, and 0.04 stays there.
        ([0.01, 0.04, 0.03, 0.005], [0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4]),
        # 0.04 would pass 0.05 alone, but 0.03 stopped the steps before.
        ([0.03, 0.04], [0.05 / 2, 0.05 / 2]),
        ([0.02, 0.04], [0.05 / 2, 0.05]),
        ([1.0, 1.0, 1.0], [0.05 / 3, 0.05 / 3, 0.05 / 3]),
    ],
)
def test_hand_worked_families(p, expected):
    assert [1 - found for found in holm_levels(dict(enumerate(p))).values()] == pytest.approx(expected)


def holm_rejects(p, alpha):
    """Return what Holm rejects, by his adjusted p values: the running maximum of (m - k) p over the sorted p."""
    rejected, worst = {}, 0.0
    for k, name in enumerate(sorted(p, key=lambda name: p[name])):
        worst = max(worst, (len(p) - k) * p[name])
        rejected[name] = worst <= alpha
    return rejected


@given(families)
def test_a_level_is_passed_exactly_where_holm_rejects(p):
    levels = holm_levels(p, 0.9)
    near = any(abs(p[name] - (1 - level)) < 1e-9 for name, level in levels.items())
    assert near or {name: p[name] <= 1 - level for name, level in levels.items()} == holm_rejects(p, 0.1)


@given(families, st.randoms())
def test_the_order_of_the_family_changes_nothing(p, random):
    names = list(p)
    random.shuffle(names)
    assert holm_levels({name: p[name] for name in names}) == holm_levels(p)


@given(families)
def test_no_level_is_laxer_than_that_of_one_comparison_or_stricter_than_bonferroni(p):
    assert all(0.95 - 1e-12 <= level <= 1 - 0.05 / len(p) + 1e-12 for level in holm_levels(p).values())


@pytest.mark.parametrize(
    ("sd", "effect", "seeds"), [(0.5, 1.0, 7), (0.5, 0.5, 18), (1.0, 2.0, 7), (1.0, 1.0, 18), (1.0, 0.5, 65)]
)
def test_seeds_for_an_effect_are_those_of_the_power_of_a_paired_t_test(sd, effect, seeds):
    difference_sd = sd * 2**0.5
    assert seeds_for(effect, difference_sd, 0.95) == seeds

    def power(n):
        shift, reach = effect / difference_sd * np.sqrt(n), t.ppf(0.975, n - 1)
        return nct.sf(reach, n - 1, shift) + nct.cdf(-reach, n - 1, shift)

    assert power(seeds) >= 0.8 - 1e-6
    assert power(seeds - 1) < 0.8


def test_an_effect_that_no_number_of_seeds_shows_has_none():
    assert seeds_for(0.001, 1.0, 0.95) is None
    assert seeds_for(0.001, 0.0, 0.95) == 3


def power_of_t_test(effect, seeds, level):
    """Return how often a t-test of some seeds finds an effect, in sd of one difference, by the mean over the sd."""
    places, weights = np.polynomial.legendre.leggauss(2000)
    spread = np.sqrt(chi2.ppf((places + 1) / 2, seeds - 1) / (seeds - 1))
    reach, shift = t.ppf((1 + level) / 2, seeds - 1) * spread, effect * np.sqrt(seeds)
    return weights @ (norm.cdf(shift - reach) + norm.cdf(-shift - reach)) / 2


@pytest.mark.parametrize(
    ("seeds", "level", "effect"),
    [(2, 0.95, 11.55), (3, 0.95, 3.264), (3, 1 - 0.05 / 6, 8.02), (6, 0.95, 1.4345), (6, 1 - 0.05 / 4, 2.0053)],
)
def test_the_smallest_effect_is_found_four_times_in_five(seeds, level, effect):
    found = smallest_effect(seed_components(seeds, 1.0), level)
    assert found == pytest.approx(effect, rel=2e-3)
    assert power_of_t_test(found, seeds, level) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("seeds", "level"), [(2, 0.95), (3, 0.95), (3, 1 - 0.05 / 6), (6, 0.95)])
def test_simulated_seeds_show_the_smallest_effect_four_times_in_five(seeds, level):
    drawn = np.random.default_rng(0).normal(smallest_effect(seed_components(seeds, 1.0), level), 1, (100_000, seeds))
    values = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1) * np.sqrt(seeds)
    # known to ± 0.13 %
    assert np.mean(np.abs(values) > t.ppf((1 + level) / 2, seeds - 1)) == pytest.approx(0.8, abs=0.005)


def test_the_smallest_effect_is_smooth_where_t_is_very_large():
    # t is 999 and 1001 with two seeds; the limit takes over between them.
    levels = [1 - 2 * float(t.sf(value, 1)) for value in (999, 1001)]
    below, above = (smallest_effect(seed_components(2, 1.0), level) for level in levels)
    assert above / below == pytest.approx(1001 / 999, rel=1e-4)
    assert smallest_effect(seed_components(2, 1.0), 1 - 1e-9) > 1e8


def test_where_only_images_differ_the_smallest_effect_is_that_of_the_images():
    found = Components(1, 1000.0, None, 0.01, 0.0)
    assert smallest_effect(found, 0.95) == pytest.approx(0.1 * (1.962 + 0.842), rel=1e-3)


def is_decided(question, found):
    reach = found.critical((1 - question.level) / 2) * found.standard_error
    if abs(question.estimate) + reach <= question.margin:
        return found.seed * found.seeds > 1e-24  # seeds that are all alike show nothing
    return reach < abs(question.estimate)


@given(st.floats(-0.05, 0.05), st.floats(0, 0.02), st.integers(2, 8), st.floats(0, 0.02), st.floats(0, 0.02))
def test_the_seeds_needed_are_the_first_that_decide_it(estimate, margin, seeds, seed_error, image_error):
    question = Question(estimate, margin, 0.95)
    found = Components(seeds, 30, seed_error**2, image_error**2, 0.0)
    needed = seeds_needed(question, found)
    if needed is None:
        assert not is_decided(question, found.with_seeds(100))
    else:
        assert is_decided(question, found.with_seeds(needed))
        assert needed == max(seeds, 3) or not is_decided(question, found.with_seeds(needed - 1))


def test_two_seeds_need_a_third_even_where_their_interval_leaves_0_out():
    judged = judge({"it": measured(0.3, 0.0001, seeds=2)})["it"]
    assert judged.interval.low > 0
    assert (judged.obstacle, judged.seeds_needed) == ("few seeds", 3)


def test_seeds_that_all_give_the_same_are_named_as_what_keeps_it_undecided():
    judged = judge({"it": measured(0.0, 0.0)})["it"]
    assert (judged.obstacle, judged.seeds_needed) == ("no variance", None)
    assert judge({"it": measured(0.025)})["it"].obstacle is None


def test_where_images_alone_hide_a_difference_no_number_of_seeds_decides_it():
    assert seeds_needed(Question(0.01, 0.005, 0.95), Components(3, 50, 1e-4, 1e-4, 0.0)) is None


def test_with_one_seed_the_number_of_seeds_needed_is_unknown():
    assert seeds_needed(Question(0.5, 0.005, 0.95), Components(1, 50, None, 1e-6, 0.0)) is None


NOISE = np.array([-0.01, 0.0, 0.01, 0.0])


def ranked(**means):
    """Return the evidence of methods with these scores, each with four seeds of its own spread on equal images."""
    turned = [np.roll(NOISE, place) for place in range(len(means))]
    scores = np.array([mean + noise for mean, noise in zip(means.values(), turned, strict=True)])
    hits = np.rint(10_000 * scores).astype(np.int64)[:, :, None, None].repeat(3, axis=2)
    return Evidence(tuple(means), (0, 1, 2, 3), ("a", "b", "c"), hits, np.full_like(hits, 10_000))


def test_a_method_that_is_worse_than_the_first_of_a_tier_starts_the_next():
    # With four seeds and six pairs, differences of .4 differ significantly and those of .01 do not.
    assert tiers(ranked(good=0.9, best=0.902, poor=0.5, poorer=0.498)) == {"best": 1, "good": 1, "poor": 2, "poorer": 2}


def test_a_method_starts_a_tier_though_its_neighbour_above_may_be_as_good():
    # Steps of .02 are too small to be seen, two of them are not: c is as good as b perhaps, but worse than a.
    assert tiers(ranked(a=0.90, b=0.88, c=0.86)) == {"a": 1, "b": 1, "c": 2}


def test_a_single_method_is_the_best():
    assert tiers(ranked(a=0.5)) == {"a": 1}


def test_differences_within_the_margin_make_no_tier():
    hits = np.array([9004, 9000])[:, None, None, None].repeat(4, axis=1).repeat(3, axis=2)
    evidence = evidence_of(hits, np.full_like(hits, 10_000))
    assert tiers(evidence) == {"a": 1, "b": 1}
    assert tiers(evidence, margin=0.0) == {"a": 1, "b": 2}


def test_one_seed_makes_no_tiers():
    hits = np.array([9000, 1000])[:, None, None, None].repeat(3, axis=2)
    assert tiers(evidence_of(hits, np.full_like(hits, 10_000))) == {"a": 1, "b": 1}


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
