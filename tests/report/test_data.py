from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from segbench.report import render

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
    assert set(report) == {"rows", "without_result", "problems", "records"}
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


@pytest.mark.parametrize("format", ["json", "csv"])
def test_the_same_records_give_the_same_data(folder, format):
    assert render([folder], format=format) == render([folder], format=format)
