from __future__ import annotations

import numpy as np
import pytest

from segbench.report.comparison.costs import CostComparison, SpeedRatio
from segbench.report.comparison.gains import Gains, ImageGains, PartGain
from segbench.report.comparison.text import (
    contribution_words,
    headline,
    placebo_words,
    rare_words,
    score_words,
    speed_words,
)
from segbench.report.ranking.differences import Contrast
from segbench.report.ranking.rows import NO_STATISTICS, Row
from segbench.stats.difference import Difference
from segbench.stats.score_differences import ScoreDifference
from segbench.stats.summary import Interval, summarize
from segbench.stats.timing import Ratio
from segbench.stats.verdict import Judgement
from segbench.store.counts import Counts

from .conftest import IMAGES, SEEDS, counted

NOTHING = summarize([])


def row(name):
    return Row(name, name, records=(), conditions=None, notes=(), statistics=NO_STATISTICS)


def difference(estimate, seeds=6, alike=False):
    return Difference(
        estimate=estimate,
        standard_error=0.002,
        freedom=5,
        image_freedom=200,
        seeds=seeds,
        images=233,
        units=233,
        seed_variance=0.0 if alike else 4e-6,
        image_variance=0.0,
        interaction_variance=0.0,
        by_seed=dict.fromkeys(range(seeds), estimate),
        p=0.01,
        sign_flip_p=0.03,
        probability=0.9,
        probability_interval=Interval(0.6, 1.0),
    )


def contrast(estimate, verdict="better", one="A", other="B", seeds=6, needed=None, alike=False):
    interval = Interval(estimate - 0.008, estimate + 0.008)
    judgement = Judgement(difference(estimate, seeds, alike), 0.95, interval, verdict, 0.007, needed)
    return Contrast(row=row(one), other_name=other, relation="claim", other=row(other), judgement=judgement)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (contrast(0.012), "A is better than B by 1.20 points [0.40, 2.00]."),
        (contrast(-0.012, "worse"), "A is worse than B by 1.20 points [0.40, 2.00]."),
        (
            contrast(0.001, "equivalent"),
            "A and B are equivalent within 1 points: A - B is +0.10 [-0.70, +0.90].",
        ),
        (
            contrast(0.004, "undecided", needed=14),
            "Undecided: A - B is +0.40 [-0.40, +1.20] points; this design can detect only differences above 0.70 "
            "points. "
            "If the estimate stays the same, 14 seeds in all decide it (8 more).",
        ),
        (
            contrast(0.0, "undecided"),
            "Undecided: A - B is +0.00 [-0.80, +0.80] points; this design can detect only differences above 0.70 "
            "points. "
            "If the estimate stays the same, even 100 seeds do not decide it; more images may.",
        ),
        (
            contrast(0.03, "undecided", seeds=1),
            "Undecided: there is only one seed in common. A - B is +3.00 [+2.20, +3.80] points; this interval covers "
            "the images only, and another seed may give another result. Run more seeds.",
        ),
        (
            contrast(0.03, "undecided", seeds=2),
            "Undecided: there are only two seeds in common, and a verdict needs 3. A - B is +3.00 [+2.20, +3.80] "
            "points. Run more seeds.",
        ),
        (
            contrast(0.0, "undecided", alike=True),
            "Undecided: A - B is +0.00 [-0.80, +0.80] points with every seed alike, which shows nothing of how seeds "
            "differ. See whether both methods predict one class everywhere or give the same maps.",
        ),
    ],
)
def test_the_verdict_is_said_in_words(claim, said):
    assert headline(claim, margin=0.01) == said


def test_the_verdict_names_what_collapsed_and_in_which_seeds(store, trained, adversarial, text):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        store(adversarial(seed=seed, verdict="collapsed" if seed == 1 else "healthy"), counted(76, seed=seed + 3))
    said = " ".join(text().split())
    assert "unet+critic collapsed in seed 1; with other seeds it may or may not." in said
    assert "verdict better; unet+critic collapsed in seed 1" in said


@pytest.mark.parametrize(
    ("inert", "where", "which"), [(SEEDS, "", "so this"), (SEEDS[:1], f" in seed {SEEDS[0]}", "which")]
)
def test_the_verdict_says_that_a_critic_had_no_say(store, trained, adversarial, text, inert, where, which):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        verdict = "inert" if seed in inert else "healthy"
        store(adversarial(seed=seed, verdict=verdict), counted(76, seed=seed + 3))
    said = " ".join(text().split())
    assert f"unet+critic: its critic had no say{where}, {which} is no test of it." in said
    assert f"verdict better; unet+critic: its critic had no say{where}" in said


def test_the_verdict_names_what_predicts_one_class_everywhere(store, trained, adversarial, text):
    background = np.zeros((IMAGES, 3, 3), dtype=np.int64)
    background[:, :, 0] = 100, 90, 10
    for seed in SEEDS:
        counts = counted(70, seed=seed)
        store(trained(seed=seed), counts)
        store(adversarial(seed=seed), Counts(counts.ids, "test", background))
    said = " ".join(text().split())
    assert "unet+critic is worse than unet" in said
    assert "unet+critic predicts sky everywhere (seeds 0, 1, 2); with other seeds it may or may not." in said
    assert "verdict worse; unet+critic predicts sky everywhere (seeds 0, 1, 2)" in said
    assert "unet+critic: predicts sky everywhere (seeds 0, 1, 2)" in said


@pytest.mark.parametrize(
    ("placebo_gains", "left", "verdict", "said"),
    [
        (
            0.003,
            0.009,
            "undecided",
            ["Of the gain of 1.20 points, 0.90 [+0.10, +1.70] remain over the placebo A~frozen (undecided)."],
        ),
        (
            0.012,
            -0.002,
            "undecided",
            [
                "Nothing of the gain of 1.00 points remains over the placebo A~frozen: "
                "-0.20 [-1.00, +0.60] points (undecided)."
            ],
        ),
        (
            -0.002,
            0.012,
            "better",
            [
                "A gains +1.20 [+0.40, +2.00] points (better) over its placebo A~frozen, "
                "which gains -0.20 [-1.00, +0.60] points (better) over B."
            ],
        ),
        (
            -0.02,
            0.012,
            "better",
            [
                "A does not beat B, so there is nothing to attribute to the discriminator.",
                "Against its placebo A~frozen it gains +1.20 [+0.40, +2.00] points (better).",
            ],
        ),
    ],
)
def test_what_a_placebo_leaves_is_said_in_words(placebo_gains, left, verdict, said):
    triplet = contrast(placebo_gains, verdict, one="A~frozen"), contrast(left, verdict, other="A~frozen")
    assert list(placebo_words([triplet])) == said


def test_that_there_is_no_gain_is_said_once_for_all_placebos():
    triplets = [(contrast(-0.02, one=name), contrast(0.012, other=name)) for name in ("A~frozen", "A~noise")]
    first, *others = placebo_words(triplets)
    assert first.startswith("A does not beat B")
    assert [sentence.split()[3] for sentence in others] == ["A~frozen", "A~noise"]


def gains(*adds, missing=None, rare=()):
    parts = [
        PartGain(name, share, NOTHING, NOTHING, difference(0.0), difference(added))
        for name, share, added in zip(("band", "interior"), (0.125, 0.875), adds, strict=False)
    ]
    return Gains(tuple(parts), missing or {}, rare, (), ImageGains((), (), 0, 0, 0))


@pytest.mark.parametrize(
    ("claim", "adds", "said"),
    [
        (contrast(0.012), (0.009, 0.003), "add +0.90 (75 %), the interiors +0.30 (25 %)."),
        (contrast(-0.012, "worse"), (-0.009, -0.003), "add -0.90 (75 %), the interiors -0.30 (25 %)."),
        (contrast(0.012), (0.015, -0.003), "add +1.50, the interiors -0.30."),
        (
            contrast(0.012, "undecided"),
            (0.009, 0.003),
            "add +0.90, the interiors +0.30. A - B is undecided, and so is this.",
        ),
        (contrast(0.012, "equivalent"), (0.009, 0.003), "add +0.90, the interiors +0.30."),
    ],
)
def test_parts_explain_shares_of_what_is_decided_and_goes_one_way(claim, adds, said):
    (sentence,) = contribution_words(claim, gains(*adds))
    start = f"Of A - B, {100 * claim.difference.estimate:+.2f} points, the boundary bands (12.5 % of the pixels) "
    assert sentence == start + said


def test_what_is_missing_is_said_with_its_reason():
    (sentence,) = contribution_words(contrast(0.012), gains(missing={"small": "nothing was counted"}))
    assert sentence == "Not computed for small objects: nothing was counted."


def test_rare_classes_are_named_where_there_are_any():
    assert rare_words(gains()) is None
    said = "Rare classes (together at most a tenth of the labelled pixels): pole, sign."
    assert rare_words(gains(rare=("pole", "sign"))) == said


def test_scores_of_which_less_is_better_are_named():
    def score(name, over):
        return ScoreDifference(name, NOTHING, NOTHING, NOTHING, None, over)

    found = [score("pixel_accuracy", "seeds and images"), score("ece", "seeds"), score("nll", "seeds and images")]
    assert list(score_words(found)) == ["Lower is better for ECE and NLL.", "Intervals over seeds only: ECE."]
    assert list(score_words(found[:1])) == []


def test_the_speed_of_one_session_is_a_ratio_and_else_there_is_none():
    def cost(*speeds, timed=True):
        return CostComparison("equal steps", NOTHING, NOTHING, None, None, speeds, timed)

    ratio = SpeedRatio("argmax", 8, Ratio(0.5, 0.4, 0.625))
    assert list(speed_words(cost(ratio))) == [
        "Inference, with resizing and argmax, batch 8: A runs 0.500 [0.400, 0.625] times as fast as B."
    ]
    hardly = SpeedRatio("argmax", 8, Ratio(0.925, 0.00000159, 537716))
    assert list(speed_words(cost(hardly))) == [
        "Inference, with resizing and argmax, batch 8: A / B is not measured well enough."
    ]
    assert list(speed_words(cost())) == ["Inference: not timed in one session, so there is no ratio."]
    assert list(speed_words(cost(timed=False))) == ["Inference: not both methods were timed."]
