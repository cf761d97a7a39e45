from __future__ import annotations

import numpy as np
import pytest

from segbench.store.record import Generation, Train

from .conftest import lines_of, squeezed

ADVERSARIAL = """\
Differences of mIoU
methods A - B difference [points] verdict P(A>B) sign-flip smallest seeds / training
p effect needed time
unet+critic - unet +2.50 ± 0.50 - - - - 3 / - ×1.50
unet+critic - unet+critic~frozen +3.00 ± - - - - - 1 / - ×1.00
unet+critic~frozen - unet -1.00 ± - - - - - 1 / - ×1.50
refined - unet -2.00 ± - - - - - 1 / - ×1.00
Adversarial training
method health gradient discriminator right [%]
ratio real/fake/val
unet+critic 2 healthy, 1 saturated 0.100 75/50/-
unet+critic~frozen 1 saturated 0.100 75/50/-
Refinement
method base seeds changed corrected spoilt
[% of pixels] [% of changed] [% of changed]
refined unet 1 10.00 ± - 50.00 ± - 25.00 ± -
Generated images
method seeds features KID precision recall diversity nearest health training
[s]
dcgan 1 resnet18 0.0200 ± - 0.800 ± - 0.400 ± - 0.500 - 1 healthy 1219
"""
TEXT = ("table", "markdown", "latex")


def test_mean_and_deviation_are_in_percent_with_n(folder, whole_text):
    (results, *_) = lines_of(whole_text(folder), "unet_r18")
    assert results.split() == ["unet_r18", "71.00", "±", "1.41", "2", "90.00", "250", "500", "812"]


def test_latency_shows_p50_p95_and_n_and_cost_follows(folder, whole_text):
    (_, costs, _) = lines_of(whole_text(folder), "unet_r18")
    assert " ".join(costs.split()) == "unet_r18 4.00 / 4.80 (200) 16.0 / 19.2 (200) 14.3 15.8 310"


def test_training_shows_what_its_time_went_into_and_when_it_was_best(trained, results, whole_text):
    spent = {"shares": {"data": 0.1, "generator": 0.6, "critic": 0.3}, "seconds_to_best": 40.0}
    measured = Train(steps=100, seconds=60.0, images_per_second=20.0, **spent)
    text = squeezed(whole_text(results(trained("unet", fields={"train": measured}), trained("fpn"))))
    assert "method images/s steps data/generator/discriminator to the best [MiB]\n[% of time] on val [s]" in text
    assert "unet 20.0 100 10/60/30 40.0 1211" in text
    assert "fpn 95.2 9000 - - 1211" in text


def test_one_seed_has_a_dash_for_its_deviation(folder, whole_text):
    assert "69.00 ± -" in lines_of(whole_text(folder), "fpn|r18 (a)")[0]


@pytest.mark.parametrize("batches", [[1], []])
def test_a_missing_timing_is_a_dash(trained, results, timing, batches, whole_text):
    text = whole_text(results(trained("unet", inference=[timing(batch, 4.0) for batch in batches])))
    assert lines_of(text, "unet")[0].split()[6:8] == [*(["250"] * len(batches)), *(["-"] * (2 - len(batches)))]


def test_critics_refiners_and_generated_images_have_tables_of_their_own(critics, whole_text):
    assert ADVERSARIAL in squeezed(whole_text(critics))


@pytest.mark.parametrize("format", TEXT)
def test_methods_that_generate_images_have_no_row_beside_those_with_an_miou(critics, format, whole_text):
    text = whole_text(critics, format)
    assert [line.count("±") + line.count("pm") for line in lines_of(text, "dcgan")] == [3, 0, 0]


def test_without_a_feature_network_the_distance_is_never_called_kid(generating, results, whole_text):
    pixels = Generation(features="pixel statistics", images=9, pixel_statistics=0.5)
    text = whole_text(results(generating(fields={"generation": pixels})))
    header = lines_of(text, "method")[0]
    assert "pixel" in header
    assert "KID" not in header
    assert "mIoU" not in header


def test_further_scores_have_a_table_without_the_columns_that_nobody_measured(measured, whole_text):
    text = squeezed(whole_text(measured))
    assert "Quality\nmethod per-image boundary boundary ECE [%] NLL Brier\n" in text
    assert "unet 50.00 ± 0.00 25.00 ± 0.00 75.00 ± 0.00 5.00 ± 0.00 0.400 0.200" in text
    assert "HD95" not in text


def test_stages_the_best_batch_the_ratio_and_energy_have_a_table(measured, whole_text):
    text = squeezed(whole_text(measured))
    assert "Inference at batch 8" in text
    found = [line for line in text.splitlines() if line.startswith("unet+critic 500 [")]
    assert found[0].endswith("400 200 32 (900) 1.00 [1.00, 1.00] 0.500 (batch 32)")


def test_one_seed_is_marked_and_explained(trained, adversarial, counted, results, whole_text):
    shares = np.random.default_rng(0).uniform(0.4, 0.8, size=12)
    text = whole_text(results(counted(trained(), shares), counted(adversarial(), shares + 0.1)))
    assert lines_of(text, "unet  ")[0].count("]*") == 1
    assert "]*" in lines_of(text, "unet+critic - unet")[0]
    assert "* One seed: the interval is over images only" in text
    assert "No tier of unet+critic, unet: with one seed, the variation between seeds is unknown." in text


def test_a_twin_without_a_row_to_compare_with_is_named(adversarial, results, whole_text):
    text = whole_text(results(adversarial()))
    assert "unet+critic: no difference to its twin unet, which has no row in this ranking." in text
    assert "Difference: A - B" not in text
