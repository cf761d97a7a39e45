from __future__ import annotations

import pytest

from .conftest import read_json, row_of


def test_scores_are_fractions_over_seeds(two_rankings):
    unet = next(row for row in read_json(two_rankings)["rows"] if row["method"] == "unet")
    assert unet["seeds"] == [0, 1]
    assert unet["scores"]["miou"] == {"mean": pytest.approx(0.71), "sd": pytest.approx(0.0002**0.5), "n": 2}
    assert unet["class_iou"] == pytest.approx([0.9, 0.3, 0.6])
    assert unet["conditions"]["timed_sizes"] == [[360, 480]]
    assert [timing["batch"] for timing in unet["inference"]] == [1, 8]


def test_missing_numbers_are_null(two_rankings):
    mmseg = next(row for row in read_json(two_rankings)["rows"] if row["method"] == "mmseg")
    assert mmseg["conditions"] is None
    assert mmseg["scores"]["miou"]["sd"] is None
    assert mmseg["cost"]["parameters"] is None
    assert mmseg["train"]["seconds"] == {"mean": None, "sd": None, "n": 0}


def test_a_row_tells_the_difference_to_the_twin_of_the_seeds_in_common(critics):
    found = row_of(critics, "unet+critic")["against_twin"]
    assert (found["with"], found["relation"], found["seeds"]) == ("unet", "twin", [0, 1, 2])
    assert found["miou_difference"] == {"mean": pytest.approx(0.025), "sd": pytest.approx(0.005), "n": 3}
    assert found["training_time_ratio"] == pytest.approx(1.5)
    assert found["verdict"] is found["low"] is None
    assert "there are no counts" in found["missing"]
    assert row_of(critics, "unet+critic")["twin"] == "unet"
    assert row_of(critics, "unet")["against_twin"] is None


def test_a_row_tells_how_adversarial_training_ended_and_why(critics):
    health = row_of(critics, "unet+critic")["health"]
    assert health["verdicts"] == {"healthy": 2, "saturated": 1}
    assert health["seeds"][1] == {"seed": 1, "verdict": "saturated", "reason": "it is saturated"}
    assert health["ratio"] == {"mean": pytest.approx(0.1), "sd": 0, "n": 3}
    assert health["validation_accuracy"]["mean"] is None
    assert row_of(critics, "unet")["health"] is None


def test_a_row_tells_what_was_generated_and_what_was_refined(critics):
    generation = row_of(critics, "dcgan")["generation"]
    assert (generation["features"], generation["kid"]["mean"], generation["nearest"]["mean"]) == (
        "resnet18",
        0.02,
        None,
    )
    refinement = row_of(critics, "refined")["refinement"]
    assert (refinement["base"], refinement["corrected"]["mean"]) == ("unet", 0.5)
    assert row_of(critics, "unet")["generation"] is row_of(critics, "unet")["refinement"] is None


def test_a_row_has_intervals_and_tiers(measured):
    claim = row_of(measured, "unet+critic", "all")
    assert set(claim["miou_interval"]) == {
        *("low", "high", "level", "standard_error", "freedom", "seeds", "images", "units"),
        *("seed_variance", "image_variance", "interaction_variance"),
    }
    assert claim["miou_interval"]["low"] < claim["scores"]["miou"]["mean"] < claim["miou_interval"]["high"]
    assert (claim["tier"], claim["interval_missing"], claim["tier_missing"]) == (1, None, None)


def test_a_row_says_why_there_is_no_interval(two_rankings):
    bare = row_of(two_rankings, "unet")
    assert (bare["miou_interval"], bare["tier"]) == (None, None)
    assert bare["interval_missing"] == "there are no counts of seeds 0, 1"


def test_a_row_has_all_that_is_said_of_each_comparison(measured):
    twin, placebo = row_of(measured, "unet+critic", "all")["comparisons"]
    assert (twin["with"], twin["relation"]) == ("unet", "twin")
    assert (placebo["with"], placebo["relation"]) == ("unet+critic~frozen", "placebo")
    assert twin == row_of(measured, "unet+critic", "all")["against_twin"]
    assert twin["low"] < twin["miou_difference"]["mean"] < twin["high"]
    assert twin["verdict"] == "better"
    assert twin["missing"] is None
    assert all(twin[name] is not None for name in ("probability", "p", "sign_flip_p", "smallest_effect", "level"))
    assert twin["probability_low"] <= twin["probability"] <= twin["probability_high"]
    assert twin["seeds_needed"] == 3
    assert twin["speed_ratio"]["8"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}


def test_a_row_has_stages_sweep_energy_tuning_and_budgets(measured):
    row = row_of(measured, "unet", "all")
    assert [[timing["batch"] for timing in row[stage]] for stage in ("inference", "labels", "loading")] == [[8]] * 3
    assert row["best_batch"] == {"batch": 32, "images_per_second": 900.0}
    assert row["timing"]["energy"]["joules_per_image"] == 0.5
    assert row["budget_seconds"] == {"mean": 41.5, "sd": 0, "n": 3}
    (tuning,) = row["tuning"]
    assert {name: tuning[name] for name in ("winner", "best", "mean", "low", "high")} == {
        "winner": "a" * 16,
        "best": 0.5,
        "mean": 0.375,
        "low": 0.25,
        "high": 0.5,
    }
    assert tuning["trials"][0]["settings"] == {"lr": 0.1}
