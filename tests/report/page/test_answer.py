from __future__ import annotations

import numpy as np
import pytest

from segbench.config.recipe import Adversarial
from segbench.report import load
from segbench.report.page.answer import answer, cards, describe_run, question
from segbench.stats.scores import per_class, scores
from segbench.store.counts import Counts

SHARES = np.random.default_rng(0).uniform(0.4, 0.8, size=15)
BROKEN = Adversarial(use="gan/hinge", placebo="frozen")


@pytest.fixture
def judged(trained, adversarial, counted, results):
    """Return the report of a critic, its twin and its placebo; the gains are shares of pixels, the noise is little."""

    def make(gain, placebo_gain, seeds=3):
        apart = np.random.default_rng(7).normal(0, 0.0005, (2, seeds, 15))
        cells = []
        for seed in range(seeds):
            placebo = adversarial(
                "unet+critic~frozen", seed, recipe={"placebo_of": "unet+critic", "adversarial": BROKEN}
            )
            cells += [
                counted(trained("unet", seed), SHARES),
                counted(adversarial(seed=seed), SHARES + gain + apart[0, seed]),
                counted(placebo, SHARES + placebo_gain + apart[1, seed]),
            ]
        return load([results(*cells)])

    return make


@pytest.mark.parametrize(
    ("gain", "placebo_gain", "beginning", "placebo"),
    [
        (0.05, 0.0, "Shown: unet+critic - unet = +", "beaten by +"),
        (0.05, 0.05, "Shown: unet+critic - unet = +", "not shown to be beaten ("),
        (-0.05, 0.0, "The opposite is shown: unet+critic - unet = -", "not shown to be beaten (-"),
        (-0.05, -0.05, "The opposite is shown: unet+critic - unet = -", "not shown to be beaten ("),
        (0.0, 0.0, "No difference that matters: unet+critic - unet = ", "not shown to be beaten ("),
    ],
)
def test_the_answer_is_the_verdict_with_placebo_and_cost(judged, gain, placebo_gain, beginning, placebo):
    report = judged(gain, placebo_gain)
    (sentence,) = answer(report)
    assert sentence.startswith(beginning)
    mean = {row.name: row.score("miou").mean for row in report.groups[0].rows}
    gained = 100 * (mean["unet+critic~frozen"] - mean["unet"])
    changes = f"{'loses' if gained < 0 else 'gains'} {abs(gained):.2f}"
    assert f"; its frozen placebo {changes} points and is {placebo}" in sentence
    assert sentence.endswith("Cost: ×1.50 training time.")


def test_the_mark_of_an_interval_of_one_seed_is_explained(judged):
    (sentence,) = answer(judged(0.05, 0.0, seeds=1))
    assert "]* points" in sentence
    assert sentence.endswith("* One seed: the interval is over images only; another seed may give any other score.")


def test_two_seeds_show_nothing(judged):
    (sentence,) = answer(judged(0.05, 0.0, seeds=2))
    assert sentence.startswith("Not shown: unet+critic - unet = +")


def test_without_a_claim_the_best_is_named_with_those_that_are_not_worse(trained, counted, results):
    apart = {"good": 0.05, "as good": 0.05, "poor": -0.2}
    noise = np.random.default_rng(3).normal(0, 0.01, (3, 3, 15))
    cells = [
        counted(trained(name, seed), SHARES + gain + noise[place, seed])
        for place, (name, gain) in enumerate(apart.items())
        for seed in range(3)
    ]
    report = load([results(*cells)])
    best = report.groups[0].rows[0].name
    (other,) = {"good", "as good"} - {best}
    (sentence,) = answer(report)
    assert sentence.startswith(f"{best} has the best mean, ")
    assert f"Not significantly worse: {other}." in sentence


def test_several_claims_are_counted(trained, adversarial, counted, results):
    cells = [
        *(counted(trained("unet", seed), SHARES) for seed in range(3)),
        *(counted(adversarial(name, seed), SHARES) for name in ("one", "two") for seed in range(3)),
    ]
    (sentence,) = answer(load([results(*cells)]))
    assert sentence.startswith("Not shown for 2 of 2 comparisons, first of all: ")


def test_a_claim_of_an_adversarial_loss_is_told_before_a_larger_difference_of_another_kind(
    trained, adversarial, counted, results
):
    cells = [
        counted(cell, SHARES + gain)
        for seed in range(3)
        for cell, gain in [
            (trained("unet", seed), 0.0),
            (trained("unet+dice", seed, recipe={"twin": "unet"}), 0.1),
            (adversarial(seed=seed), -0.1),
        ]
    ]
    report = load([results(*cells)])
    (sentence,) = answer(report)
    assert sentence.startswith("The opposite is shown for 1 of 2 comparisons, first of all: unet+critic - unet = -")
    assert "Claim: unet+critic" in [card.title for card in cards(report)]


def test_of_two_claims_the_one_with_seeds_enough_for_a_verdict_is_told_first(trained, adversarial, counted, results):
    twin, few = {"recipe": {"twin": "unet"}}, 2
    cells = [
        *(counted(trained("unet", seed), SHARES) for seed in range(3)),
        *(counted(adversarial("unet+one", seed, **twin), SHARES + 0.01 + 0.02 * seed) for seed in range(3)),
        *(counted(adversarial("unet+two", seed, **twin), SHARES + 0.1 + 0.02 * seed) for seed in range(few)),
    ]
    (sentence,) = answer(load([results(*cells)]))
    assert "first of all: unet+one - unet = +" in sentence


def test_each_ranking_has_its_answer_after_that_over_all_datasets(trained, results):
    sentences = list(answer(load([results(trained(), trained(dataset="voc", fingerprint="0123456789ab"))])))
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "camvid, over 2 datasets (camvid, voc)",
        "camvid",
        "voc",
    ]


def test_one_method_alone_has_no_mean_rank_to_tell_of(trained, results):
    first = next(answer(load([results(trained(), trained(dataset="voc", fingerprint="0123456789ab"))])))
    assert first == "camvid, over 2 datasets (camvid, voc): no two methods have a score on all of them."


def test_images_are_told_once_to_have_no_miou(generating, results):
    (sentence,) = answer(load([results(generating(), generating(dataset="voc", fingerprint="0123456789ab"))]))
    assert sentence.startswith("No label maps were scored here")


def test_cards_tell_the_best_the_fastest_the_claim_and_the_cells(judged, failed, results):
    results(failed("broken", 1))
    found = {card.title: card for card in cards(judged(0.05, 0.0))}
    assert list(found) == ["Best", "Fastest in the best tier", "Claim: unet+critic", "Cells"]
    assert found["Best"].fact == "unet+critic"
    assert found["Best"].text.endswith("alone in its tier")
    assert found["Claim: unet+critic"].fact == "better"
    assert "over its frozen placebo" in found["Claim: unet+critic"].text
    assert (found["Cells"].fact, found["Cells"].text) == ("10", "1 without a result, 0 with warnings")


def test_a_faster_method_of_the_tier_is_named_with_its_factor(trained, counted, results, timing):
    noise = np.random.default_rng(3).normal(0, 0.02, (2, 3, 15))
    cells = [
        counted(trained(name, seed, inference=[timing(8, milliseconds)]), SHARES + noise[place, seed])
        for place, (name, milliseconds) in enumerate([("slow", 16.0), ("fast", 4.0)])
        for seed in range(3)
    ]
    report = load([results(*cells)])
    card = next(card for card in cards(report) if card.title == "Fastest in the best tier")
    assert card.fact == "fast"
    if report.groups[0].rows[0].name == "slow":
        assert card.text.startswith("2000 against 500 images/s; ")
        assert card.text.endswith(" points of mIoU against slow, not significant")


def test_one_method_with_one_seed_is_compared_with_nothing(trained, counted, results, timing):
    report = load([results(counted(trained(inference=[timing(8, 4.0)]), SHARES))])
    (sentence,) = answer(report)
    assert " reaches " in sentence
    best, cells = cards(report)
    assert best.text.endswith("; with one seed, the variation between seeds is unknown")
    assert cells.title == "Cells"


def test_cells_that_predict_one_class_everywhere_are_counted_with_warnings(trained, counted, results):
    record, counts = counted(trained(seed=1), SHARES)
    constant = Counts(counts.ids, "test", np.tile([[700, 0], [300, 0]], (15, 1, 1)))
    measured = {"per_class": per_class(constant), "scores": scores(constant)}
    report = load([results(counted(trained(), SHARES), (record.model_copy(update=measured), constant))])
    assert list(cards(report))[-1].text == "0 without a result, 1 with warnings"


def test_a_speed_within_chance_makes_no_method_the_fastest(trained, counted, results, timing):
    noise = np.random.default_rng(3).normal(0, 0.02, (2, 3, 15))
    cells = [
        counted(trained(name, seed, inference=[timing(8, milliseconds)]), SHARES + noise[place, seed])
        for place, (name, milliseconds) in enumerate([("one", 16.0), ("other", 16.1)])
        for seed in range(3)
    ]
    report = load([results(*cells)])
    card = next(card for card in cards(report) if card.title == "Fastest in the best tier")
    assert (card.fact, card.text.partition(";")[2]) == (report.groups[0].rows[0].name, " no faster method is as good")


def test_the_only_method_is_better_than_nothing(trained, counted, results):
    (sentence,) = answer(load([results(*(counted(trained("unet", seed), SHARES) for seed in range(3)))]))
    assert sentence.startswith("unet reaches ")
    assert sentence.endswith("].")


def test_a_method_without_a_tier_is_not_said_to_be_worse(trained, counted, results):
    noise = np.random.default_rng(3).normal(0, 0.002, (3, 3, 15))
    seeds = {"good": 3, "poor": 3, "one seed": 1}
    cells = [
        counted(trained(name, seed), SHARES - 0.1 * place + noise[place, seed])
        for place, (name, number) in enumerate(seeds.items())
        for seed in range(number)
    ]
    (sentence,) = answer(load([results(*cells)]))
    assert "It is significantly better than every other method with a tier." in sentence


def test_an_order_that_nothing_supports_says_why(trained, counted, results):
    (sentence,) = answer(load([results(trained("one", miou=0.7), trained("other", miou=0.6))]))
    assert "Nothing says yet how sure the order is: there are no counts of seed 0." in sentence


def test_label_maps_without_a_score_are_not_said_to_be_missing(trained, results):
    (sentence,) = answer(load([results(trained(miou=None))]))
    assert sentence == "No method has an mIoU here: see the leaderboard."


def test_one_of_anything_is_in_the_singular(trained, results):
    facts = {"evaluated": trained().evaluated.model_copy(update={"images": 1})}
    described = list(describe_run(load([results(trained(fields=facts, protocol={"budget": {"epochs": 1}}))])))
    assert described[1:4] == ["1 test image", "1 seed", "1 epoch"]


def test_a_placebo_is_never_the_best(judged):
    report = judged(0.0, 0.2)
    assert report.groups[0].rows[0].name == "unet+critic~frozen"
    assert next(cards(report)).fact != "unet+critic~frozen"


def test_the_question_is_the_first_sentence_of_the_latest_comment(trained, results):
    cells = [trained(seed=seed, environment={"started": f"2026-11-2{seed}T10:00:00+00:00"}) for seed in range(2)]
    cells[0].spec["origin"] = {"given": "a.yaml", "sets": [], "comment": "Old?"}
    cells[1].spec["origin"] = {"given": "a.yaml", "sets": [], "comment": "Does v1.5 help? Three seeds."}
    assert question(load([results(*cells)])) == ("Does v1.5 help?", "Three seeds.")


def test_an_old_record_asks_nothing(trained, results):
    assert question(load([results(trained())])) == ("", "")


def test_the_run_is_described_by_data_seeds_budget_machine_and_days(trained, results):
    where = {"device": "cpu", "device_name": "AMD EPYC", "threads": 2}
    cells = [
        trained(seed=seed, environment={**where, "started": f"2026-11-2{seed}T10:00:00+00:00"}) for seed in range(2)
    ]
    assert list(describe_run(load([results(*cells)]))) == [
        *(
            "camvid",
            "233 test images",
            "2 seeds",
            "200 epochs",
            "batches of 8",
            "AMD EPYC, 2 threads",
            "2026-11-20 to 2026-11-21",
        ),
    ]
