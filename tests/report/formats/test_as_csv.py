from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from segbench.report import load, render
from segbench.report.formats.as_csv import COLUMNS, guard, to_csv_with_classes
from segbench.store.record import Evaluated

from .conftest import read_csv, row_of


def test_csv_has_one_line_a_row_with_the_conditions_as_columns(two_rankings):
    lines = read_csv(two_rankings)
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


def test_csv_missing_values_are_empty_and_whole_numbers_whole(two_rankings):
    lines = read_csv(two_rankings)
    assert lines[1]["parameters"] == lines[1]["miou_sd"] == lines[1]["train_seconds"] == ""
    assert lines[2]["parameters"] == "14328209"
    assert (lines[2]["batch1_p50_ms"], lines[2]["batch_p50_ms"], lines[2]["batch_n"]) == ("4.0", "16.0", "200")
    assert lines[0]["batch_p50_ms"] == ""  # timed at batch 8, its protocol says 4


def test_csv_is_read_by_pandas(two_rankings):
    table = pd.read_csv(io.StringIO(render([two_rankings], format="csv")))
    assert table.groupby("group")["miou_mean"].max().tolist() == pytest.approx([0.69, 0.71])


def test_csv_without_any_result_has_its_header(failed, results):
    lines = render([results(failed("deep"))], format="csv").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("group,benchmark,dataset,")


def test_csv_has_health_generation_and_refinement_as_columns(critics):
    lines = {line["method"]: line for line in read_csv(critics)}
    critic = lines["unet+critic"]
    assert (critic["health"], float(critic["health_ratio"])) == ("2 healthy, 1 saturated", pytest.approx(0.1))
    assert (critic["twin"], critic["twin_n"]) == ("unet", "3")
    assert float(critic["miou_difference_mean"]) == pytest.approx(0.025)
    assert (lines["dcgan"]["generation_kid"], lines["dcgan"]["miou_mean"]) == ("0.02", "")
    assert lines["refined"]["refinement_spoilt"] == "0.25"
    assert lines["unet"]["health"] == lines["unet"]["twin_n"] == lines["unet"]["generation_features"] == ""


def test_csv_with_classes_has_a_column_for_each_class_of_each_dataset(measured, trained, results):
    results(trained("other", dataset="plain"), root="results")  # whose classes have no names
    lines = list(csv.DictReader(io.StringIO(to_csv_with_classes(load([measured])))))
    other, *named = sorted(lines, key=lambda line: line["dataset"] == "camvid")
    assert [other[f"class_iou_{name}"] for name in (0, 1, 2, "sky")] == ["0.9", "0.3", "0.6", ""]
    for line in named:
        row = row_of(measured, line["method"], line["subset"])
        assert [float(line[f"class_iou_{name}"]) for name in row["classes"]] == row["class_iou"]
        assert line["class_iou_0"] == ""
    assert list(lines[0])[: len(COLUMNS)] == list(COLUMNS)


def test_csv_has_the_same_numbers_as_json(measured):
    lines = read_csv(measured)
    (line,) = [one for one in lines if (one["method"], one["subset"]) == ("unet+critic", "all")]
    row = row_of(measured, "unet+critic", "all")
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


def test_the_same_records_give_the_same_csv(two_rankings):
    assert render([two_rankings], format="csv") == render([two_rankings], format="csv")


def test_only_columns_of_what_was_not_measured_are_empty(measured, critics):
    lines = [line for folder in (measured, critics) for line in read_csv(folder)]
    empty = {name for name in lines[0] if not any(line[name] for line in lines)}
    other_placebos = tuple(f"over_{kind}_" for kind in ("shuffled", "noise", "detached"))
    assert {name for name in empty if not name.startswith(other_placebos)} == {
        *("protocol", "overrides", "notes", "window", "trained_as_long_as", "beaten_by", "folds"),
        *("hd95_mean", "hd95_sd", "surface_dice_mean", "surface_dice_sd"),
        *("train_seconds_to_best", "train_share_data", "train_share_generator", "train_share_critic"),
        *("health_cosine", "health_validation_accuracy", "health_overfit", "health_top_probability"),
        *("health_entropy", "health_diversity", "health_nearest"),
        *("generation_kid_sd", "generation_pixel_statistics", "generation_nearest"),
    }


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_a_name_is_never_a_formula(trained, results, name):
    folder = results(trained(name, environment={**trained().environment, "device_name": name}))
    (line,) = read_csv(folder)
    assert line["method"] == line["device_name"]
    assert line["method"].startswith("'")


def test_a_class_is_never_a_formula_and_steers_nothing(trained, results):
    classes = Evaluated(split="test", images=9, classes=["=1+1", "\x1b[2J", "c"])
    text = to_csv_with_classes(load([results(trained(fields={"evaluated": classes}))]))
    assert text.splitlines()[0].endswith(r"class_iou_=1+1,class_iou_\u001b[2J,class_iou_c")


@pytest.mark.parametrize("value", [-1, -0.5, "-1", "+1e-3", "-inf", "unet", "a=b", "", None])
def test_numbers_and_other_text_stay_as_they_are(value):
    assert guard(value) == value
