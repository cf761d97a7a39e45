from __future__ import annotations

import pytest

from segbench.report import render
from segbench.store.record import Scores

from .conftest import read_json

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
    "name",
    "twin",
    "against",
    "placebo_of",
    "scored_only",
    "seeds",
    "keys",
    "conditions",
    "scored_under",
    "elsewhere",
    "overrides",
    "notes",
    "scores",
    "definitions",
    "miou_interval",
    "interval_missing",
    "tier",
    "tier_missing",
    "beaten_by",
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
    "folds",
}


def test_json_has_the_stable_keys(two_rankings):
    report = read_json(two_rankings)
    assert set(report) == {
        "schema",
        "rows",
        "label_efficiency",
        "across_datasets",
        "passports",
        "helpers",
        "without_result",
        "problems",
        "records",
        "people",
        "doses",
        "incomplete",
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


def test_json_numbers_its_rankings_and_repeats_scored_rows_in_each(two_rankings):
    found = [(row["group"], row["method"]) for row in read_json(two_rankings)["rows"]]
    assert found == [(0, "fpn"), (0, "mmseg"), (1, "unet"), (1, "mmseg")]


def test_json_lists_cells_without_a_result(two_rankings):
    (cell,) = read_json(two_rankings)["without_result"]
    assert (cell["method"], cell["seed"], cell["status"]) == ("deep", 1, "failed")
    assert (cell["cause"], cell["plugin"]) == ("the loss is NaN at step 17", "losses")


def test_json_lists_cells_that_only_served_others_apart(critics):
    helpers = [(helper["method"], helper["subset"]) for helper in read_json(critics)["helpers"]]
    assert sorted(helpers) == [("unet", "fold 1/5"), ("unet", "labels 0.125")]


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


def test_the_same_records_give_the_same_json(two_rankings):
    assert render([two_rankings], format="json") == render([two_rankings], format="json")
