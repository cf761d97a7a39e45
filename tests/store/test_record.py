from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from segbench.store.record import (
    Cost,
    Energy,
    Evaluated,
    FromUpstream,
    Generation,
    Health,
    HealthPoint,
    Inference,
    Latency,
    PerClass,
    PluginFile,
    Record,
    Refinement,
    Scores,
    SweepPoint,
    Timing,
    Train,
    Trial,
)

DEVICE_STATE = {
    "clock_mhz": None,
    "temperature_celsius": None,
    "throttle_reasons": None,
    "other_processes": None,
    "load": None,
}

# What other programs may rely on; a change here is a change of `SCHEMA`.
STABLE = {
    "schema": None,
    "key": None,
    "benchmark": None,
    "dataset": None,
    "subset": None,
    "method": None,
    "seed": None,
    "status": None,
    "attempt": None,
    "scores": {
        "miou": None,
        "pixel_accuracy": None,
        "mean_accuracy": None,
        "fwiou": None,
        "dice": None,
        "per_image_miou": None,
        "boundary_iou": None,
        "boundary_f1": None,
        "ece": None,
        "nll": None,
        "brier": None,
        "hd95": None,
        "surface_dice": None,
    },
    "per_class": {"iou": None, "boundary_iou": None, "boundary_f1": None},
    "definitions": {"miou": None},
    "evaluated": {"split": None, "images": None, "classes": None, "also_in_train": None},
    "settled": {"seconds": None, "trials": [{"key": None, "settings": None, "miou": None}], "winner": None},
    "train": {
        "steps": None,
        "seconds": None,
        "images_per_second": None,
        "shares": {"data": None},
        "seconds_to_best": None,
        "class_weights": {"median_frequency": None},
        "capture": None,
    },
    "inference": [
        {
            "stage": None,
            "batch": None,
            "size": None,
            "images_per_second": None,
            "latency_ms": {"p50": None, "p95": None, "n": None, "p99": None},
            "budget": None,
            "blocks": None,
        }
    ],
    "timing": {
        "session": None,
        "rivals": None,
        "threads": None,
        "steady": None,
        "sweep": [{"batch": None, "images_per_second": None}],
        "before": DEVICE_STATE,
        "after": DEVICE_STATE,
        "energy": {"batch": None, "joules_per_image": None, "seconds": None},
    },
    "cost": {
        "parameters": None,
        "flops": None,
        "flops_size": None,
        "train_peak_bytes": None,
        "inference_peak_bytes": None,
    },
    "health": {
        "verdict": None,
        "reason": None,
        "numbers": {"ratio": None},
        "curve": [
            {
                "step": None,
                "real": None,
                "fake": None,
                "validation": None,
                "real_accuracy": None,
                "fake_accuracy": None,
                "validation_accuracy": None,
                "critic_loss": None,
                "generator_loss": None,
                "ratio": None,
                "cosine": None,
                "supervised_gradient": None,
                "adversarial_gradient": None,
                "critic_gradient": None,
                "top_probability": None,
                "entropy": None,
                "class_entropy": None,
                "overfit": None,
                "diversity": None,
                "real_diversity": None,
                "nearest": None,
            }
        ],
    },
    "generation": {
        "features": None,
        "images": None,
        "kid": None,
        "kid_sd": None,
        "pixel_statistics": None,
        "precision": None,
        "recall": None,
        "diversity": None,
        "nearest": None,
    },
    "refinement": {"changed": None, "corrected": None, "spoilt": None},
    "spec": None,
    "environment": None,
    "plugin_files": [{"plugin": None, "sha256": None, "copy_path": None}],
    "provenance": None,
    "error": None,
}


def full_record(**changes):
    fields = {
        "key": "0123456789abcdef",
        "benchmark": "tiny",
        "dataset": "shapes",
        "subset": "all",
        "method": "fcn",
        "seed": 0,
        "status": "ok",
        "attempt": "1-0123456789abcdef",
        "scores": Scores(miou=0.5, pixel_accuracy=0.5, mean_accuracy=0.5, fwiou=0.5, dice=0.5),
        "per_class": PerClass(iou=[0.5, None]),
        "definitions": {"miou": "miou/union@1"},
        "evaluated": Evaluated(split="test", images=3, classes=["disc", "ground"], also_in_train=1),
        "settled": FromUpstream(trials=[Trial(key="fedcba9876543210", settings={}, miou=0.5)]),
        "train": Train(
            steps=10,
            seconds=1.5,
            images_per_second=20.0,
            shares={"data": 1.0},
            class_weights={"median_frequency": [1.0, 0.5]},
        ),
        "inference": [
            Inference(
                stage="forward",
                batch=1,
                size=(4, 6),
                images_per_second=9.0,
                latency_ms=Latency(p50=1.0, p95=2.0, n=200),
                budget="full",
            )
        ],
        "timing": Timing(
            session="-",
            rivals=["fcn"],
            threads=1,
            steady=True,
            sweep=[SweepPoint(batch=1, images_per_second=9.0)],
            energy=Energy(batch=1, joules_per_image=0.5, seconds=30.0),
        ),
        "cost": Cost(parameters=9, flops=None, flops_size=(4, 6), train_peak_bytes=None, inference_peak_bytes=None),
        "health": Health(verdict="healthy", reason="-", numbers={"ratio": 0.1}, curve=[HealthPoint(step=0)]),
        "generation": Generation(features="pixel statistics", images=9),
        "refinement": Refinement(changed=0.1, corrected=0.5, spoilt=0.25),
        "spec": {},
        "environment": {},
        "plugin_files": [PluginFile(plugin="mine", sha256="0" * 64, copy_path="plugins/mine.py")],
    }
    return Record(**{**fields, **changes})


def names(value):
    """Return the nested names of a JSON value; what is inside spec, environment and error is free."""
    if isinstance(value, dict):
        return {key: names(inner) for key, inner in value.items()} or None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [names(value[0])]
    return None


def test_names_and_nesting_are_the_stable_ones_in_their_order():
    written = json.loads(full_record().model_dump_json())
    assert names(written) == STABLE
    assert list(written) == list(STABLE)


def test_every_part_refuses_unknown_fields():
    parts = [type(value) for _, value in full_record() if isinstance(value, BaseModel)]
    assert all(part.model_config["extra"] == "forbid" for part in [Record, *parts])


def test_a_record_survives_being_written_and_read():
    record = full_record()
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_a_record_of_an_older_version_has_no_attempt_and_gets_none():
    assert "attempt" not in json.loads(full_record(attempt=None).model_dump_json())


@pytest.mark.parametrize("name", ["", "..", "../1-0123456789abcdef", "1-0123456789abcdef/", "0123456789abcdef"])
def test_an_attempt_is_never_a_way_out_of_the_folder_of_its_cell(name):
    with pytest.raises(ValidationError, match="attempt"):
        full_record(attempt=name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_is_null_and_never_nan_or_infinite(value):
    with pytest.raises(ValidationError, match="finite number"):
        Scores(miou=value, pixel_accuracy=None, mean_accuracy=None, fwiou=None, dice=None)


def test_a_nan_among_the_free_fields_is_written_as_null():
    written = json.loads(full_record(spec={"lr": float("nan")}).model_dump_json())
    assert written["spec"] == {"lr": None}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_of_an_adversarial_game_is_nan_or_infinite(value):
    with pytest.raises(ValidationError, match="finite number"):
        HealthPoint(step=0, real=value)
    with pytest.raises(ValidationError, match="finite number"):
        Health(verdict="unknown", reason="-", numbers={"ratio": value}, curve=[])


def test_an_unknown_verdict_is_refused():
    with pytest.raises(ValidationError, match="verdict"):
        Health(verdict="fine", reason="-", numbers={}, curve=[])


def test_a_record_from_before_the_adversarial_engine_is_still_read():
    written = json.loads(full_record().model_dump_json())
    old = {name: value for name, value in written.items() if name not in ("health", "generation", "refinement")}
    assert Record.model_validate(old).health is None


def test_an_unknown_status_is_refused():
    with pytest.raises(ValidationError, match="status"):
        full_record(status="done")
