from __future__ import annotations

import json

import pytest
from scipy.stats import gmean

from segbench.config.recipe import ComponentUse
from segbench.errors import RecordError
from segbench.report.ranking.timings import timing_warnings
from segbench.report.speed_test import (
    SideBySide,
    Speed,
    SpeedBudget,
    SpeedConditions,
    SpeedRatio,
    Speeds,
    TimedMethod,
    as_text,
    build_timed_method,
    check_same_conditions,
    put_side_by_side,
    read_speeds,
    speed_table,
)
from segbench.stats.timing import throughput_interval
from segbench.store.record import Energy, Latency, Timing

from .timed_methods import FCN, UNET, cells, row, timed

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
    parts = {"inference", "timing", "best_batch", "inference_peak_bytes"}
    assert method.keys() == {"method", "generator", "runtime", *parts}
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
    with pytest.raises(RecordError, match=r"cannot read .*missing\.json: No such file"):
        read_speeds(tmp_path / "missing.json")
    with pytest.raises(RecordError, match=r"cannot read .*: it is a folder, not a file"):
        read_speeds(tmp_path)
    file.write_text("{")
    with pytest.raises(RecordError, match=r"cannot use .*: EOF while parsing"):
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


def speeds(*methods, **changes):
    run = {
        "segbench": "0.1.0",
        "torch": "2.15.0",
        "started": "2026-03-01T10:00:00+00:00",
        "dataset": "data/shapes",
        "conditions": CONDITIONS,
        "budget": SPEEDS.budget,
        "methods": [build_timed_method(one, methods[0], ComponentUse(use="basic/fcn"), 3 * 2**20) for one in methods],
        "failures": {},
        "warnings": timing_warnings(methods),
        "remarks": [],
    }
    return Speeds(**{**run, **changes})


def test_rows_stand_with_their_intervals_and_the_ratio_to_the_first():
    table = speed_table([timed("unet", row(UNET)), timed("fcn", row(FCN))], 1)
    found = cells(table)
    ratio = gmean(FCN) / gmean(UNET)
    assert found["unet"]["times as fast as\nunet"] == "1"
    assert found["fcn"]["times as fast as\nunet"].startswith(f"{ratio:.2f} [")
    low, high = throughput_interval(UNET)
    assert found["unet"]["forward\n[images/s]"] == f"98.8 [{low:.1f}, {high:.0f}]"
    assert table.title == "batch 1"


def test_stages_that_were_not_timed_have_no_column():
    some = timed("unet", row(UNET), row([80.0, 81.0], "argmax"))
    headers = speed_table([some, timed("fcn", row(FCN))], 1).headers
    assert headers[1:3] == ["forward\n[images/s]", "+ argmax\n[images/s]"]
    assert not any("loading" in header for header in headers)
    assert cells(speed_table([some, timed("fcn", row(FCN))], 1))["fcn"]["+ argmax\n[images/s]"] == "-"


def test_the_text_holds_a_table_for_each_batch_and_what_is_to_be_known():
    first = timed("unet", row(UNET), row(FCN, batch=8), energy=Energy(batch=8, joules_per_image=0.25, seconds=30))
    text = as_text(
        speeds(first, timed("fcn", row(FCN), steady=False), remarks=["Left out."], failures={"big": "no memory"})
    )
    lines = text.splitlines()
    assert lines[0] == "2 methods timed in one session, as for data/shapes (4 classes, 3 channels), untrained"
    assert lines[1] == "cpu: AMD EPYC 9554 · fp32 · 32×48 · 2 threads · not compiled"
    assert lines[2] == "each stage: 200 iterations and 30 s, at most 120 s"
    assert lines[3:5] == ["before: load 0.10", "after:  load 0.10"]
    assert [line for line in lines if line.startswith("batch ")] == ["batch 1", "batch 8"]
    assert "0.250 (batch 8)" in text
    assert lines[-3:] == [
        "Left out.",
        "not timed: big: no memory",
        "warning: never steady in warm-up: fcn; something disturbed it, or the budget is too small",
    ]


def test_where_all_failed_the_text_says_why():
    text = as_text(speeds(failures={"big": "no memory"}))
    assert text.splitlines()[-1] == "not timed: big: no memory"


def test_two_runs_stand_side_by_side_where_they_have_the_same_rows():
    then = speeds(timed("unet", row(UNET), row(UNET, batch=8)), timed("fcn", row(FCN)))
    slower = [speed / 3 for speed in FCN]
    now = speeds(timed("unet", row(UNET), row([1.0, 2.0], "argmax")), timed("fcn", row(slower)), timed("new", row(FCN)))
    unet, fcn = put_side_by_side(then, now)
    assert (unet.method, unet.stage, unet.batch) == ("unet", "forward", 1)
    assert (unet.overlap, unet.then_ratio, unet.ratio_overlap) == (True, None, None)
    assert (fcn.method, fcn.overlap, fcn.ratio_overlap) == ("fcn", False, False)
    assert fcn.now_ratio.estimate == pytest.approx(fcn.then_ratio.estimate / 3)


def test_what_has_no_interval_neither_overlaps_nor_does_not():
    run = speeds(timed("unet", row([100.0, 101.0])))
    assert put_side_by_side(run, run)[0].overlap is None


def test_the_text_shows_the_former_run():
    then = speeds(timed("unet", row(UNET)), timed("fcn", row(FCN)))
    text = as_text(then.model_copy(update={"against": put_side_by_side(then, then)}))
    assert "beside the former run: do the intervals overlap?" in text
    assert text.count("  yes") >= 3
    nothing = as_text(then.model_copy(update={"against": []}))
    assert "the former run has none of these methods at these batch sizes" in nothing
