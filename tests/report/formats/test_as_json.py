from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from segbench.report import load, render
from segbench.report.formats.as_csv import CSV_COLUMNS, _csv_row
from segbench.store.record import Scores

ROW = {
    "group",
    "benchmark",
    "dataset",
    "fingerprint",
    "subset",
    "split",
    "images",
    "protocol",
    "method",
    "twin",
    "against",
    "placebo_of",
    "scored_only",
    "seeds",
    "keys",
    "conditions",
    "overrides",
    "notes",
    "scores",
    "definitions",
    "miou_interval",
    "interval_missing",
    "tier",
    "tier_missing",
    "classes",
    "class_iou",
    "class_boundary_iou",
    "class_boundary_f1",
    "train",
    "trained_as_long_as",
    "budget_seconds",
    "tuning",
    "inference",
    "labels",
    "loading",
    "timing",
    "best_batch",
    "cost",
    "against_twin",
    "comparisons",
    "health",
    "generation",
    "refinement",
}


@pytest.fixture
def folder(trained, scored, failed, results):
    return results(
        *(trained("unet", seed, miou) for seed, miou in enumerate([0.70, 0.72])),
        trained("fpn", 0, 0.69, protocol={"batch_size": 4}, overrides=("batch_size",)),
        scored("mmseg", 0.65),
        failed("deep", 1),
    )


def refuse_constant(name):
    raise AssertionError(f"{name} in JSON")


def read_json(folder):
    return json.loads(render([folder], format="json"), parse_constant=refuse_constant)


def test_json_has_the_stable_keys(folder):
    report = read_json(folder)
    assert set(report) == {
        "rows",
        "label_efficiency",
        "passports",
        "helpers",
        "without_result",
        "problems",
        "records",
    }
    assert all(set(row) == ROW for row in report["rows"])
    assert set(report["rows"][0]["scores"]) == set(Scores.model_fields)
    assert set(report["rows"][0]["cost"]) == {
        "parameters",
        "flops",
        "flops_size",
        "train_peak_bytes",
        "inference_peak_bytes",
    }


def test_json_numbers_its_rankings_and_repeats_scored_rows_in_each(folder):
    found = [(row["group"], row["method"]) for row in read_json(folder)["rows"]]
    assert found == [(0, "fpn"), (0, "mmseg"), (1, "unet"), (1, "mmseg")]


def test_json_scores_are_fractions_over_seeds(folder):
    unet = next(row for row in read_json(folder)["rows"] if row["method"] == "unet")
    assert unet["seeds"] == [0, 1]
    assert unet["scores"]["miou"] == {"mean": pytest.approx(0.71), "sd": pytest.approx(0.0002**0.5), "n": 2}
    assert unet["class_iou"] == pytest.approx([0.9, 0.3, 0.6])
    assert unet["conditions"]["timed_sizes"] == [[360, 480]]
    assert [timing["batch"] for timing in unet["inference"]] == [1, 8]


def test_json_missing_numbers_are_null(folder):
    mmseg = next(row for row in read_json(folder)["rows"] if row["method"] == "mmseg")
    assert mmseg["conditions"] is None
    assert mmseg["scores"]["miou"]["sd"] is None
    assert mmseg["cost"]["parameters"] is None
    assert mmseg["train"]["seconds"] == {"mean": None, "sd": None, "n": 0}


def test_json_lists_cells_without_a_result(folder):
    (cell,) = read_json(folder)["without_result"]
    assert (cell["method"], cell["seed"], cell["status"]) == ("deep", 1, "failed")
    assert (cell["cause"], cell["plugin"]) == ("the loss is NaN at step 17", "losses")


def test_csv_has_one_line_a_row_with_the_conditions_as_columns(folder):
    lines = list(csv.DictReader(io.StringIO(render([folder], format="csv"))))
    assert [(line["group"], line["method"], line["n"], line["batch_size"]) for line in lines] == [
        ("0", "fpn", "1", "4"),
        ("0", "mmseg", "1", ""),
        ("1", "unet", "2", "8"),
        ("1", "mmseg", "1", ""),
    ]
    assert (lines[2]["device_name"], lines[2]["precision"], lines[2]["timed_sizes"]) == (
        "NVIDIA H200",
        "fp32",
        "360x480",
    )


def test_csv_missing_values_are_empty_and_whole_numbers_whole(folder):
    lines = list(csv.DictReader(io.StringIO(render([folder], format="csv"))))
    assert lines[1]["parameters"] == lines[1]["miou_sd"] == lines[1]["train_seconds"] == ""
    assert lines[2]["parameters"] == "14328209"
    assert (lines[2]["batch1_p50_ms"], lines[2]["batch_p50_ms"], lines[2]["batch_n"]) == ("4.0", "16.0", "200")
    assert lines[0]["batch_p50_ms"] == ""  # timed at batch 8, its protocol says 4


def test_csv_is_read_by_pandas(folder):
    table = pd.read_csv(io.StringIO(render([folder], format="csv")))
    assert table.groupby("group")["miou_mean"].max().tolist() == pytest.approx([0.69, 0.71])


def test_csv_without_any_result_has_its_header(failed, results):
    lines = render([results(failed("deep"))], format="csv").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("group,benchmark,dataset,")


def row_of(folder, method):
    (row,) = [row for row in read_json(folder)["rows"] if row["method"] == method]
    return row


def test_json_tells_the_difference_to_the_twin_of_the_seeds_in_common(critics):
    found = row_of(critics, "unet+critic")["against_twin"]
    assert (found["with"], found["relation"], found["seeds"]) == ("unet", "twin", [0, 1, 2])
    assert found["miou_difference"] == {"mean": pytest.approx(0.025), "sd": pytest.approx(0.005), "n": 3}
    assert found["training_time_ratio"] == pytest.approx(1.5)
    assert found["verdict"] is found["low"] is None
    assert "there are no counts" in found["missing"]
    assert row_of(critics, "unet+critic")["twin"] == "unet"
    assert row_of(critics, "unet")["against_twin"] is None


def test_json_tells_how_the_game_ended_and_why(critics):
    health = row_of(critics, "unet+critic")["health"]
    assert health["verdicts"] == {"healthy": 2, "saturated": 1}
    assert health["seeds"][1] == {"seed": 1, "verdict": "saturated", "reason": "it is saturated"}
    assert health["ratio"] == {"mean": pytest.approx(0.1), "sd": 0, "n": 3}
    assert health["validation_accuracy"]["mean"] is None
    assert row_of(critics, "unet")["health"] is None


def test_json_tells_what_was_generated_and_what_refined(critics):
    generation = row_of(critics, "dcgan")["generation"]
    assert (generation["features"], generation["kid"]["mean"], generation["nearest"]["mean"]) == (
        "resnet18",
        0.02,
        None,
    )
    refinement = row_of(critics, "refined")["refinement"]
    assert (refinement["base"], refinement["corrected"]["mean"]) == ("unet", 0.5)
    assert row_of(critics, "unet")["generation"] is row_of(critics, "unet")["refinement"] is None


def test_json_lists_cells_that_only_served_others_apart(critics):
    helpers = [(helper["method"], helper["subset"]) for helper in read_json(critics)["helpers"]]
    assert sorted(helpers) == [("unet", "fold 1/5"), ("unet", "labels 0.125")]


def test_csv_has_health_generation_and_refinement_as_columns(critics):
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(render([critics], format="csv")))}
    critic = lines["unet+critic"]
    assert (critic["health"], float(critic["health_ratio"])) == ("2 healthy, 1 saturated", pytest.approx(0.1))
    assert (critic["twin"], critic["twin_n"]) == ("unet", "3")
    assert float(critic["miou_difference_mean"]) == pytest.approx(0.025)
    assert (lines["dcgan"]["generation_kid"], lines["dcgan"]["miou_mean"]) == ("0.02", "")
    assert lines["refined"]["refinement_spoilt"] == "0.25"
    assert lines["unet"]["health"] == lines["unet"]["twin_n"] == lines["unet"]["generation_features"] == ""


@pytest.mark.parametrize("format", ["json", "csv"])
def test_the_same_records_give_the_same_data(folder, format):
    assert render([folder], format=format) == render([folder], format=format)


def test_json_has_intervals_and_tiers(measured):
    claim = row_of_all(measured, "unet+critic")
    assert set(claim["miou_interval"]) == {
        *("low", "high", "level", "standard_error", "freedom", "seeds", "images", "units"),
        *("seed_variance", "image_variance", "interaction_variance"),
    }
    assert claim["miou_interval"]["low"] < claim["scores"]["miou"]["mean"] < claim["miou_interval"]["high"]
    assert (claim["tier"], claim["interval_missing"], claim["tier_missing"]) == (1, None, None)


def test_json_says_why_there_is_no_interval(folder):
    bare = row_of(folder, "unet")
    assert (bare["miou_interval"], bare["tier"]) == (None, None)
    assert bare["interval_missing"] == "there are no counts of seeds 0, 1"


def row_of_all(folder, method):
    (row,) = [row for row in read_json(folder)["rows"] if (row["method"], row["subset"]) == (method, "all")]
    return row


def test_json_has_all_that_is_said_of_each_comparison(measured):
    twin, placebo = row_of_all(measured, "unet+critic")["comparisons"]
    assert (twin["with"], twin["relation"]) == ("unet", "twin")
    assert (placebo["with"], placebo["relation"]) == ("unet+critic~frozen", "placebo")
    assert twin == row_of_all(measured, "unet+critic")["against_twin"]
    assert twin["low"] < twin["miou_difference"]["mean"] < twin["high"]
    assert twin["verdict"] == "better"
    assert twin["missing"] is None
    assert all(twin[name] is not None for name in ("probability", "p", "sign_flip_p", "smallest_effect", "level"))
    assert twin["speed_ratio"]["8"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}


def test_json_has_stages_sweep_energy_tuning_and_budgets(measured):
    row = row_of_all(measured, "unet")
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


def test_json_has_the_classes_and_the_passports_in_full(measured):
    report = read_json(measured)
    assert report["rows"][0]["classes"] == ["sky", "road"]
    assert report["rows"][0]["definitions"]["miou"] == "miou/union@1"
    assert set(report["passports"]) == {
        *("miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice"),
        *("per_image_miou", "boundary_iou", "boundary_f1", "ece", "nll", "brier"),
    }
    assert set(report["passports"]["miou"]) == {
        *("id", "version", "formula", "ignored", "absent", "resolution", "unit", "source")
    }


def test_json_has_label_efficiency(measured):
    (found,) = read_json(measured)["label_efficiency"]
    claim = next(one for one in found["methods"] if one["method"] == "unet+critic")
    assert claim["twin"] == "unet"
    assert [point["fraction"] for point in claim["points"]] == [0.5, 1.0]
    rate = claim["points"][0]["exchange_rate"]
    # 3 points of the 6 that the twin gains with the doubling
    assert rate["estimate"] == pytest.approx(2**0.5, rel=0.1)
    assert set(rate) == {"estimate", "side", "low", "high", "least", "most"}
    assert claim["points"][0]["exchange_seeds"] == [0, 1, 2]


def test_csv_has_the_same_numbers_as_json(measured):
    lines = list(csv.DictReader(io.StringIO(render([measured], format="csv"))))
    (line,) = [one for one in lines if (one["method"], one["subset"]) == ("unet+critic", "all")]
    row = row_of_all(measured, "unet+critic")
    twin, placebo = row["comparisons"]
    assert float(line["miou_low"]) == row["miou_interval"]["low"]
    assert (line["tier"], line["twin_verdict"]) == ("1", "better")
    assert float(line["twin_high"]) == twin["high"]
    assert float(line["over_frozen_difference"]) == pytest.approx(placebo["miou_difference"]["mean"])
    assert line["over_noise_low"] == ""
    assert (line["best_batch"], line["joules_per_image"], line["batch_labels_images_per_second"]) == (
        "32",
        "0.5",
        "400.0",
    )
    assert (line["tuning_trials"], line["tuning_best"], line["budget_seconds"]) == ("2", "0.5", "41.5")
    assert (line["label_fraction"], line["exchange_rate_side"]) == ("1.0", "above")


def test_csv_lines_have_no_column_that_the_header_lacks(measured, critics):
    for folder in (measured, critics):
        report = load([folder])
        lines = [_csv_row(number, report, row) for number, group in enumerate(report.groups) for row in group.rows]
        assert all(line.keys() - {"against"} <= set(CSV_COLUMNS) for line in lines)
