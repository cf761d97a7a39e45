from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.difference import Difference
from segbench.stats.intervals import Interval
from segbench.stats.power import smallest_effect
from segbench.stats.student import two_sided_p
from segbench.stats.variance import Components
from segbench.stats.verdict import judge

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
        (measured(0.0, 0.0), "equivalent"),
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


def test_what_the_design_could_have_seen_is_told_at_the_level_of_the_verdict():
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
