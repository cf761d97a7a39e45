from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.stats.health import (
    CURVE_POINTS,
    MINIMUM_POINTS,
    ConstantClass,
    find_constant_class,
    judge,
    judge_again,
    overfit,
    thin,
)
from segbench.store.record import Health, HealthPoint

FIELDS = [name for name in HealthPoint.model_fields if name != "step"]
GOOD = {"real": 1.0, "fake": -1.0, "real_accuracy": 0.8, "fake_accuracy": 0.8, "ratio": 0.1, "critic_gradient": 1.0}


def course(points=9, **values):
    """Return a healthy course, but for the values given: constant, or one for each third, or one for each point."""
    series = {name: spread(value, points) for name, value in {**GOOD, **values}.items()}
    return [HealthPoint(step=10 * i, **{name: value[i] for name, value in series.items()}) for i in range(points)]


def spread(value, points):
    if not isinstance(value, (list, tuple)):
        return [value] * points
    return list(value) if len(value) == points else [one for one in value for _ in range(points // len(value))]


def verdict(**values):
    return judge(course(**values)).verdict


def test_training_without_trouble_is_healthy_and_names_its_numbers():
    health = judge(course())
    assert health.verdict == "healthy"
    assert health.reason == (
        "none of the rules for trouble applies: accuracy on reals 0.8, accuracy on fakes 0.8, gradient ratio 0.1"
    )
    assert health.numbers["score_gap"] == 2
    assert health.numbers["points"] == 9


@pytest.mark.parametrize(("accuracy", "expected"), [(0.95, "healthy"), (0.96, "saturated")])
def test_a_discriminator_that_is_always_right_has_won(accuracy, expected):
    assert verdict(real_accuracy=accuracy, fake_accuracy=accuracy) == expected


def test_a_discriminator_that_is_right_on_one_side_only_has_not_won():
    assert verdict(real_accuracy=1.0, fake_accuracy=0.9) == "healthy"


@pytest.mark.parametrize(("diversity", "expected"), [(0.05, "collapsed"), (0.07, "healthy")])
def test_images_that_differ_far_less_than_real_ones_are_collapse(diversity, expected):
    assert verdict(diversity=diversity, real_diversity=0.6) == expected


@pytest.mark.parametrize(
    ("confusion", "found"),
    [
        ([[900, 0], [100, 0]], ConstantClass(0, 1.0)),
        ([[0, 900], [0, 100]], ConstantClass(1, 1.0)),
        ([[899, 1], [100, 0]], ConstantClass(0, 0.999)),
        ([[800, 100], [100, 0]], None),
        ([[998, 0], [1, 1]], None),  # a rare class, half of it found
        ([[998, 0], [2, 0]], ConstantClass(0, 1.0)),
        ([[900, 0], [0, 0]], None),  # the truth itself has one class
        ([[900, 100], [0, 0]], None),
        ([[900]], None),
    ],
)
def test_a_class_is_constant_if_all_or_almost_all_pixels_get_it_and_the_truth_has_several(confusion, found):
    assert find_constant_class(np.array(confusion)) == found


def test_only_the_last_third_decides_who_has_won():
    assert verdict(real_accuracy=[1.0, 1.0, 0.7], fake_accuracy=[1.0, 1.0, 0.7]) == "healthy"


def test_the_reason_names_how_far_a_discriminator_that_has_won_overfits():
    health = judge(course(real_accuracy=1.0, fake_accuracy=0.98, validation=0.0))
    assert health.reason == "the discriminator has won: right on 100% of reals and 98% of fakes, overfit heuristic 0.50"


@pytest.mark.parametrize(
    ("accuracy", "ratio", "expected"),
    [
        (0.7, 0.049, "inert"),
        (0.7, 0.05, "healthy"),
        (0.6, 0.3, "inert"),
        (0.61, 0.3, "healthy"),
        (0.39, 0.3, "healthy"),
        (0.99, 0.02, "saturated"),  # trouble is told first
        (0.5, None, "healthy"),  # nothing supervised beside it: a game may end so
        (None, 0.02, "inert"),  # a discriminator of features alone
        (None, 0.3, "healthy"),
    ],
)
def test_a_critic_whose_gradient_is_small_or_that_is_at_chance_is_inert(accuracy, ratio, expected):
    assert verdict(real_accuracy=accuracy, fake_accuracy=accuracy, ratio=ratio) == expected


def test_the_balanced_accuracy_decides_what_chance_is():
    health = judge(course(real_accuracy=0.22, fake_accuracy=0.79, ratio=0.3))
    assert health.verdict == "inert"
    assert health.reason == "the critic had no say: its balanced accuracy of 50% is that of chance"


def test_the_critic_of_the_strong_recipe_had_no_say():
    """Hinge, weight 0.05: 2 % of the supervised gradient, balanced accuracy 0.51."""
    health = judge(course(real_accuracy=0.55, fake_accuracy=0.47, ratio=0.02))
    assert health.verdict == "inert"
    assert health.reason == "the critic had no say: its gradient is 0.02 of the supervised one (below 0.05)"


def test_only_the_last_third_decides_whether_the_critic_had_a_say():
    assert verdict(ratio=[0.01, 0.01, 0.2]) == "healthy"
    assert verdict(ratio=[0.2, 0.2, 0.01]) == "inert"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ratio": 0.02},
        {"real_accuracy": 1.0, "fake_accuracy": 0.99, "ratio": 0.02},
        {"real_accuracy": 0.4},
        {"real_accuracy": 0.5, "fake_accuracy": [0.0, 0.0, 1.0, 1.0] * 6},
    ],
)
def test_a_recorded_judgement_of_today_is_judged_alike(values):
    health = judge(course(points=24, **values))
    assert judge_again(health) == health


@pytest.mark.parametrize("before", ["healthy", "saturated", "oscillating"])
def test_what_was_judged_before_there_was_inert_is_judged_like_today(before):
    accuracy = [0.0, 0.0, 1.0, 1.0] * 6 if before == "oscillating" else 0.5
    today = judge(course(points=24, real_accuracy=0.5, fake_accuracy=accuracy, ratio=0.009))
    assert today.verdict == "inert"
    assert judge_again(today.model_copy(update={"verdict": before, "reason": "another one"})) == today


def test_records_without_the_numbers_and_those_of_other_trouble_keep_their_judgement():
    kept = [
        Health(verdict="healthy", reason="", numbers={}, curve=[]),
        Health(verdict="collapsed", reason="", numbers={"ratio": 0.01}, curve=[]),
    ]
    assert [judge_again(health) for health in kept] == kept


@pytest.mark.parametrize("name", ["critic_gradient", "adversarial_gradient"])
@pytest.mark.parametrize(("norm", "expected"), [(100.0, "healthy"), (101.0, "diverged")])
def test_a_gradient_norm_above_100_is_divergence(name, norm, expected):
    assert verdict(**{name: norm}) == expected


def test_one_spike_of_the_gradient_is_no_divergence():
    assert verdict(critic_gradient=[1.0] * 8 + [1e6]) == "healthy"


@pytest.mark.parametrize(
    ("fake", "expected"),
    [
        ((-1.0, -100.0, -150.0), "diverged"),
        ((-1.0, -120.0, -150.0), "healthy"),  # great, but grows no longer
        ((-1.0, -50.0, -90.0), "healthy"),  # grows, but is not great
        ((1.0, 100.0, 150.0), "diverged"),  # the generator may be the one that runs away
    ],
)
def test_scores_that_grow_without_bound_are_divergence(fake, expected):
    assert verdict(real=0.0, fake=fake) == expected


def test_a_discriminator_loss_that_falls_without_bound_is_divergence():
    health = judge(course(critic_loss=[-1.0, -100.0, -1000.0]))
    assert health.verdict == "diverged"
    assert health.reason == "the discriminator's loss is -1e+03, 10 times what it was a third earlier, and grows on"


def test_numbers_that_are_not_finite_are_divergence():
    health = judge(course(points=30), non_finite=(270, 280))
    assert health.verdict == "diverged"
    assert health.reason == "20% of the last third's points hold a number that is not finite"


@pytest.mark.parametrize("steps", [(0, 10, 20), (290,)])
def test_a_step_that_overflows_now_and_then_is_no_divergence(steps):
    assert judge(course(points=30), non_finite=steps).verdict == "healthy"


def test_a_short_run_that_is_not_finite_has_diverged_all_the_same():
    assert judge([HealthPoint(step=0)], non_finite=[0]).verdict == "diverged"


@pytest.mark.parametrize(
    ("diversity", "expected"),
    [
        (0.011, "healthy"),
        (0.009, "collapsed"),
        ((0.5, 0.3, 0.051), "healthy"),
        ((0.5, 0.3, 0.049), "collapsed"),
        ((0.001, 0.1, 0.2), "healthy"),
    ],
)
def test_images_that_are_all_the_same_are_collapse(diversity, expected):
    assert verdict(diversity=diversity) == expected


@pytest.mark.parametrize(("entropy", "expected"), [(0.11, "healthy"), (0.09, "collapsed")])
def test_one_class_everywhere_is_collapse(entropy, expected):
    assert verdict(class_entropy=entropy) == expected


@pytest.mark.parametrize(
    ("entropy", "ratio", "expected"),
    [(0.0009, 1.1, "collapsed"), (0.0009, 0.5, "healthy"), (0.0011, 1.1, "healthy"), (0.0009, None, "healthy")],
)
def test_confidence_that_the_discriminator_and_not_the_truth_demands_is_collapse(entropy, ratio, expected):
    assert verdict(entropy=entropy, ratio=ratio) == expected


@pytest.mark.parametrize("name", ["real_accuracy", "fake_accuracy"])
def test_an_accuracy_that_swings_is_oscillation(name):
    health = judge(course(points=15, **{name: [0.8] * 5 + [0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9]}))
    assert health.verdict == "oscillating"
    assert "swung between 20% and 80% 4 times" in health.reason


def test_three_swings_are_no_oscillation():
    swings = [0.8] * 5 + [0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.5, 0.5]
    assert verdict(points=15, fake_accuracy=swings) == "healthy"


@pytest.mark.parametrize(("low", "expected"), [(0.2, "oscillating"), (0.21, "healthy")])
def test_swings_that_stop_short_of_the_band_are_no_oscillation(low, expected):
    assert verdict(points=24, fake_accuracy=[0.8, 0.8, low, low] * 6) == expected


@pytest.mark.parametrize(("size", "expected"), [(0.4, "healthy"), (0.6, "oscillating")])
def test_a_score_gap_that_changes_its_sign_is_oscillation(size, expected):
    signs = [1, 1, -1, -1] * 6
    assert verdict(points=24, real=[sign * size for sign in signs], fake=[-sign * size for sign in signs]) == expected


@pytest.mark.parametrize("period", [8, 40, 100])
def test_oscillation_is_found_whatever_its_period(period):
    wave = [0.5 + 0.49 * math.cos(2 * math.pi * i / period) for i in range(300)]
    assert verdict(points=300, fake_accuracy=wave) == "oscillating"


@pytest.mark.parametrize("seed", range(20))
def test_the_noise_of_small_batches_is_no_oscillation(seed):
    random = Random(seed)
    noise = [sum(random.random() < 0.5 for _ in range(8)) / 8 for _ in range(300)]
    assert verdict(points=300, fake_accuracy=noise) == "healthy"


def test_of_several_troubles_the_gravest_is_named():
    won = {"real_accuracy": 1.0, "fake_accuracy": 1.0}
    swinging = {"fake_accuracy": [0.0, 0.0, 1.0, 1.0] * 6, "real_accuracy": 0.5, "ratio": 0.001}
    assert verdict(**won, diversity=0.0, critic_gradient=1e3) == "diverged"
    assert verdict(**won, diversity=0.0) == "collapsed"
    assert verdict(points=24, **swinging) == "inert"
    assert verdict(points=24, **{**swinging, "ratio": 0.1}) == "oscillating"


def test_too_few_points_are_not_judged():
    assert judge(course(points=MINIMUM_POINTS - 1)).verdict == "unknown"
    assert judge(course(points=MINIMUM_POINTS)).verdict == "healthy"
    assert judge([]) == Health(
        verdict="unknown",
        reason=f"0 points are too few for a verdict; {MINIMUM_POINTS} are needed",
        numbers=judge([]).numbers,
        curve=[],
    )


def test_points_that_measure_neither_discriminator_nor_samples_are_not_judged():
    points = [HealthPoint(step=i, supervised_gradient=1.0, entropy=0.5) for i in range(9)]
    assert judge(points).verdict == "unknown"


def test_a_long_course_is_thinned_and_keeps_its_ends():
    curve = judge(course(points=999)).curve
    assert len(curve) == CURVE_POINTS == 64
    assert (curve[0].step, curve[-1].step) == (0, 9980)
    assert [point.step for point in curve] == sorted({point.step for point in curve})


def test_a_short_course_is_kept_whole():
    points = course(points=64)
    assert thin(points) == points


def test_the_overfit_heuristic_is_0_without_and_1_with_full_memory():
    assert overfit(real=2.0, fake=-1.0, validation=2.0) == 0
    assert overfit(real=2.0, fake=-1.0, validation=-1.0) == 1
    assert overfit(real=2.0, fake=2.0, validation=1.0) is None
    assert overfit(real=2.0, fake=None, validation=1.0) is None


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
points = st.fixed_dictionaries({"step": st.integers(0, 99)}, optional=dict.fromkeys(FIELDS, numbers))


@given(st.lists(points.map(lambda fields: HealthPoint(**fields)), max_size=12), st.sets(st.integers(0, 99)))
def test_every_course_has_a_verdict_that_can_be_recorded(curve, non_finite):
    health = judge(curve, non_finite)
    assert health.reason
    assert Health.model_validate_json(health.model_dump_json()) == health
