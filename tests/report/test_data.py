from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from segbench.report import render
from segbench.spec.recipe import Refines
from segbench.store.record import Refinement

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
    "placebo_of",
    "scored_only",
    "seeds",
    "keys",
    "conditions",
    "overrides",
    "notes",
    "scores",
    "class_iou",
    "train",
    "inference",
    "cost",
    "against_twin",
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
    assert set(report) == {"rows", "helpers", "without_result", "problems", "records"}
    assert all(set(row) == ROW for row in report["rows"])
    assert set(report["rows"][0]["scores"]) == {"miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice"}
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


@pytest.fixture
def critics(trained, adversarial, generating, results):
    refinement = Refinement(changed=0.1, corrected=0.5, spoilt=0.25)
    return results(
        *(trained("unet", seed, 0.5) for seed in range(3)),
        *(adversarial("unet+critic", seed, 0.75, verdict) for seed, verdict in enumerate(["healthy", "saturated"])),
        trained(
            "refined", recipe={"refines": Refines(method="unet")}, fields={"refinement": refinement, "scores": None}
        ),
        generating(),
        trained("unet", 0, 0.4, subset="fold 1/5"),
    )


def row_of(folder, method):
    (row,) = [row for row in read_json(folder)["rows"] if row["method"] == method]
    return row


def test_json_tells_the_difference_to_the_twin_of_the_seeds_in_common(critics):
    assert row_of(critics, "unet+critic")["against_twin"] == {
        "seeds": [0, 1],
        "miou_difference": {"mean": 0.25, "sd": 0, "n": 2},
        "exploratory": True,
        "training_time_ratio": pytest.approx(1.5),
    }
    assert row_of(critics, "unet+critic")["twin"] == "unet"
    assert row_of(critics, "unet")["against_twin"] is None


def test_json_tells_how_the_game_ended_and_why(critics):
    health = row_of(critics, "unet+critic")["health"]
    assert health["verdicts"] == {"healthy": 1, "saturated": 1}
    assert health["seeds"][1] == {"seed": 1, "verdict": "saturated", "reason": "it is saturated"}
    assert health["ratio"] == {"mean": 0.1, "sd": 0, "n": 2}
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
    (helper,) = read_json(critics)["helpers"]
    assert (helper["method"], helper["subset"]) == ("unet", "fold 1/5")


def test_csv_has_health_generation_and_refinement_as_columns(critics):
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(render([critics], format="csv")))}
    critic = lines["unet+critic"]
    assert (critic["health"], critic["health_ratio"]) == ("1 healthy, 1 saturated", "0.1")
    assert (critic["twin"], critic["twin_n"], critic["miou_difference_mean"]) == ("unet", "2", "0.25")
    assert (lines["dcgan"]["generation_kid"], lines["dcgan"]["miou_mean"]) == ("0.02", "")
    assert lines["refined"]["refinement_spoilt"] == "0.25"
    assert lines["unet"]["health"] == lines["unet"]["twin_n"] == lines["unet"]["generation_features"] == ""


@pytest.mark.parametrize("format", ["json", "csv"])
def test_the_same_records_give_the_same_data(folder, format):
    assert render([folder], format=format) == render([folder], format=format)
