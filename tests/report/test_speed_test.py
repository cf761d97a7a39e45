from __future__ import annotations

import json

import pytest

from segbench.errors import RecordError
from segbench.report.speed_test import (
    SideBySide,
    Speed,
    SpeedBudget,
    SpeedConditions,
    SpeedRatio,
    Speeds,
    TimedMethod,
    check_same_conditions,
    read_speeds,
)
from segbench.store.record import Latency, Timing

CONDITIONS = SpeedConditions(
    classes=4,
    channels=3,
    size=(32, 48),
    device="cpu",
    device_name="AMD EPYC 9554",
    precision="fp32",
    tf32=False,
    channels_last=False,
    compile=False,
    threads=2,
)
SPEED = Speed(
    stage="forward",
    batch=1,
    size=(32, 48),
    images_per_second=100.0,
    latency_ms=Latency(p50=10.0, p95=11.0, n=200),
    budget="full",
    blocks=[99.0, 101.0],
    ratio=SpeedRatio(estimate=1.5, interval=(1.4, 1.6)),
)
SPEEDS = Speeds(
    segbench="0.1.0",
    torch="2.15.0",
    started="2026-03-01T10:00:00+00:00",
    dataset="data/shapes",
    conditions=CONDITIONS,
    budget=SpeedBudget(iterations=200, seconds=30, max_seconds=120),
    methods=[
        TimedMethod(
            method="smp/unet",
            generator={"use": "smp/unet", "options": {}},
            inference=[SPEED],
            timing=Timing(session="one", rivals=["smp/unet"], threads=2, steady=True),
            best_batch=None,
            inference_peak_bytes=None,
        )
    ],
    failures={},
    warnings=[],
    remarks=[],
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "speeds.json"
    path.write_text(SPEEDS.model_dump_json())
    return path


def test_what_was_written_is_read_again(file):
    assert read_speeds(file) == SPEEDS


def test_the_names_in_the_file_are_stable(file):
    content = json.loads(file.read_text())
    assert content.keys() == {
        *("schema", "segbench", "torch", "started", "dataset", "conditions", "budget"),
        *("methods", "failures", "warnings", "remarks", "against"),
    }
    assert content["conditions"].keys() == {
        *("classes", "channels", "size", "device", "device_name"),
        *("precision", "tf32", "channels_last", "compile", "threads"),
    }
    [method] = content["methods"]
    assert method.keys() == {"method", "generator", "inference", "timing", "best_batch", "inference_peak_bytes"}
    [speed] = method["inference"]
    assert speed.keys() == {
        *("stage", "batch", "size", "images_per_second", "latency_ms", "budget", "blocks", "interval", "ratio"),
    }


def test_the_stage_argmax_is_called_labels_in_the_file(file):
    beside = SideBySide(
        method="smp/unet",
        stage="argmax",
        batch=1,
        then=1.0,
        then_interval=None,
        now=1.0,
        now_interval=None,
        overlap=None,
        then_ratio=None,
        now_ratio=None,
        ratio_overlap=None,
    )
    method = SPEEDS.methods[0].model_copy(update={"inference": [SPEED.model_copy(update={"stage": "argmax"})]})
    speeds = SPEEDS.model_copy(update={"methods": [method], "against": [beside]})
    file.write_text(speeds.model_dump_json())
    content = json.loads(file.read_text())
    assert (content["methods"][0]["inference"][0]["stage"], content["against"][0]["stage"]) == ("labels", "labels")
    assert read_speeds(file) == speeds


def test_what_is_no_such_file_is_refused(file, tmp_path):
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        read_speeds(tmp_path / "missing.json")
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        read_speeds(tmp_path)
    file.write_text("{")
    with pytest.raises(RecordError, match="it is not what `segbench time -o FILE` writes: its content: Invalid JSON"):
        read_speeds(file)
    file.write_text('{"schema": 1}')
    with pytest.raises(RecordError, match="writes: segbench: Field required"):
        read_speeds(file)


def test_equal_conditions_are_accepted(file):
    check_same_conditions(CONDITIONS, CONDITIONS.model_copy(), file)


def test_other_conditions_are_refused_with_what_differs(file):
    other = CONDITIONS.model_copy(update={"precision": "bf16", "size": (64, 64)})
    with pytest.raises(RecordError) as caught:
        check_same_conditions(CONDITIONS, other, file)
    message = str(caught.value)
    assert "size ((32, 48) then, (64, 64) now), precision (fp32 then, bf16 now)" in message
    assert "threads" not in message
