from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from segbench.report import load, render
from segbench.report.formats.first_screen import verdict_in_words
from segbench.report.formats.tables import verdict_text
from segbench.stats.scores import per_class, scores
from segbench.store.counts import Counts

from .conftest import lines_of, squeezed

SHARES = np.random.default_rng(0).uniform(0.4, 0.8, size=15)

SCREEN = """\
camvid / camvid · test, 233 images · data 3f2a9c10d4e5
cuda: NVIDIA H200 · fp32 · batch 8 · 8 threads

method           mIoU [%]  seeds  images/s  training
                                   batch 8       [s]
-----------  ------------  -----  --------  --------
unet_r18     71.00 ± 1.41      2       500       812
fpn|r18 (a)     69.00 ± -      1       500       812
mmseg (b)       65.00 ± -      1         -         -

(a) overrides the benchmark's protocol: optimizer.lr
(b) label maps made elsewhere and only scored here: not trained under this protocol, no cost known
No interval of unet_r18: there are no counts of seeds 0, 1.
No interval of fpn|r18, mmseg: there are no counts of seed 0.

Cells without a result:
  failed: camvid / camvid / deep&wide / seed 1: the loss is NaN at step 17 (plugin losses)
  skipped: camvid / camvid / next / seed 2: the loss is NaN at step 17 (plugin losses)

"""


@pytest.fixture
def judged(trained, adversarial, counted, results):
    """Return the comparison of a critic with its twin over some seeds; the noise is of a size, the gain in shares."""

    def make(gain, noise, seeds, verdict="healthy"):
        apart = np.random.default_rng(7).normal(0, noise, (seeds, 15))
        twins = (counted(trained("unet", seed), SHARES) for seed in range(seeds))
        critics = (
            counted(adversarial(seed=seed, verdict=verdict), SHARES + gain + apart[seed]) for seed in range(seeds)
        )
        (group,) = load([results(*twins, *critics)]).groups
        return group.comparisons[0]

    return make


def test_the_first_screen_reads_as_it_should(folder):
    text = render([folder])
    assert text.startswith(SCREEN)
    where = " ".join(text.removeprefix(SCREEN).split())
    assert where == f"More: segbench report {folder}/camvid --full (all tables) or --explain (what each number means)"


@pytest.mark.parametrize(
    ("gain", "noise", "seeds", "words"),
    [
        (0.05, 0.001, 3, "A is better"),
        (-0.05, 0.001, 3, "A is worse"),
        (0.0, 0.0001, 3, "equivalent (within 0.5 points)"),
        (0.05, 0.001, 1, "undecided: one seed cannot decide"),
        (0.05, 0.001, 2, "undecided: two seeds cannot decide"),
        (0.0, 0.0, 3, "undecided: every seed gives the same"),
    ],
)
def test_a_verdict_is_given_in_words(judged, gain, noise, seeds, words):
    assert verdict_in_words(judged(gain, noise, seeds)) == words


def test_a_verdict_says_that_the_critic_had_no_say_and_in_which_seeds(judged):
    assert verdict_in_words(judged(0.05, 0.001, 3, verdict="inert")) == (
        "A is better; unet+critic: its critic had no say"
    )


def test_a_placebo_without_a_say_is_as_it_should_be(results, trained, adversarial):
    placebo = adversarial("unet+critic~frozen", verdict="inert", recipe={"placebo_of": "unet+critic"})
    text = render([results(trained(), adversarial(verdict="inert"), placebo)])
    assert "unet+critic, seed 0: inert: it is inert" in text
    assert "unet+critic~frozen, seed 0" not in text


def test_a_verdict_names_what_collapsed_on_both_screens_and_in_json(judged, tmp_path):
    one = judged(0.05, 0.001, 3, verdict="collapsed")
    assert verdict_in_words(one) == "A is better; unet+critic collapsed in seeds 0, 1, 2"
    assert verdict_text(one) == "better; unet+critic collapsed in seeds 0, 1, 2"
    (row, _) = json.loads(render([tmp_path / "results"], format="json"))["rows"]
    assert row["against_twin"]["collapsed"] == {"unet+critic": [0, 1, 2]}


def test_methods_that_predict_one_class_everywhere_are_named_and_never_equivalent(trained, results, counted):
    _, counts = counted(trained(), SHARES)
    confusion = np.tile([[700, 0], [300, 0]], (15, 1, 1))
    constant = Counts(counts.ids, "test", confusion)
    measured = {"per_class": per_class(constant), "scores": scores(constant)}
    cells = [
        trained(method, seed, recipe={"twin": "unet"} if method == "fpn" else {}, fields=measured)
        for method in ("unet", "fpn")
        for seed in range(3)
    ]
    evaluated = cells[0].evaluated.model_copy(update={"images": 15, "classes": ["sky", "road"]})
    folder = results(*((cell.model_copy(update={"evaluated": evaluated}), constant) for cell in cells))
    (one,) = load([folder]).groups[0].comparisons
    predicts = "predicts sky everywhere (seeds 0, 1, 2)"
    assert verdict_in_words(one) == f"undecided: every seed gives the same; fpn {predicts}; unet {predicts}"
    text = render([folder])
    assert f"(a) {predicts}" in text
    assert [line.split()[:2] for line in text.splitlines()[4:8] if "(a)" in line] == [["fpn", "(a)"], ["unet", "(a)"]]
    fpn, unet = json.loads(render([folder], format="json"))["rows"]
    assert fpn["against_twin"]["constant"] == {"fpn": predicts, "unet": predicts}
    assert fpn["notes"] == unet["notes"] == [predicts]
    assert f"(a) {predicts}" in render([folder], format="markdown")


def test_what_is_undecided_says_how_many_seeds_would_decide(judged):
    one = judged(0.01, 0.05, 3)
    needed = one.judgement.seeds_needed
    assert 3 < needed < 100
    assert verdict_in_words(one) == f"undecided: about {needed} seeds needed"
    unreachable = replace(one, judgement=replace(one.judgement, seeds_needed=None))
    assert verdict_in_words(unreachable) == "undecided: over 100 seeds needed"


def test_without_counts_there_is_no_verdict(critics):
    (line,) = [line for line in lines_of(render([critics]), "unet+critic - unet ") if "+2.50" in line]
    assert line.endswith("no verdict")


def test_each_claim_has_a_line_beside_its_twin_and_its_placebo(measured):
    text = squeezed(render([measured]))
    assert text.count("\nunet+critic - unet +3") == 2
    assert text.count("\nunet+critic - unet+critic~frozen +") == 2
    assert "unet+critic~frozen - unet" not in text


def test_generated_images_have_their_scores_and_no_miou(critics):
    text = squeezed(render([critics]))
    assert "dcgan 0.0200 ± - 0.800 ± - 0.400 ± - 1 1219" in text


def test_what_changes_how_the_table_is_read_is_said(measured, adversarial, results):
    text = " ".join(render([measured]).split())
    assert "Timing: the device slowed its clock: sw power cap." in text
    assert "Rows of different rankings above were measured under different conditions" in text
    assert "Timed with" not in text
    collapsed = results(adversarial(verdict="collapsed"), adversarial("other", verdict="unknown"), root="others")
    text = render([collapsed])
    assert "unet+critic, seed 0: collapsed: it is collapsed" in text
    assert "other, seed 0: unknown" not in text


def test_one_seed_is_marked_and_explained(trained, counted, results):
    text = render([results(counted(trained(), SHARES))])
    assert "]*" in lines_of(text, "unet ")[0]
    assert "* One seed: the interval is over images only; another seed may give any other score." in text


def test_labels_are_exchanged_on_the_first_screen_too(measured):
    assert "What the labels are worth, in labels of the twin" in render([measured])


def test_the_first_screen_is_at_most_a_hundred_columns_wide(measured, critics):
    for folder in (measured, critics):
        assert max(map(len, render([folder]).splitlines())) <= 100
