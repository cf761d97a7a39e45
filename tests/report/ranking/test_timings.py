from __future__ import annotations

import pytest
from scipy.stats import gmean

from segbench.config.recipe import ComponentUse
from segbench.report.ranking.timings import (
    MethodSpeed,
    best_batch_text,
    latency_text,
    slowing_reasons,
    speed_ratio,
    speed_text,
    state_text,
    timing_warnings,
)
from segbench.report.speed_test import (
    SpeedBudget,
    SpeedConditions,
    Speeds,
    as_text,
    build_timed_method,
    put_side_by_side,
    speed_table,
)
from segbench.stats.timing import throughput_interval
from segbench.store.record import DeviceState, Energy, Inference, Latency, SweepPoint, Timing

QUIET = DeviceState(load=0.1)
UNET = [100.0, 90.0, 110.0, 95.0]
FCN = [205.0, 178.0, 219.0, 191.0]


def row(blocks, stage="forward", batch=1, n=200, p99=None, size=(32, 48)):
    latency = Latency(p50=5.0, p95=6.0, n=n, p99=p99)
    speed = sum(blocks) / len(blocks)
    return Inference(
        stage=stage, batch=batch, size=size, images_per_second=speed, latency_ms=latency, budget="full", blocks=blocks
    )


def timing(**changes):
    usual = {
        "session": "one",
        "rivals": ["unet", "fcn"],
        "threads": 2,
        "steady": True,
        "before": QUIET,
        "after": QUIET,
    }
    return Timing(**{**usual, **changes})


def timed(method, *rows, **changes):
    return MethodSpeed(method, rows, timing(**changes))


def cells(table):
    """The cells of a table by method and header."""
    return {line[0]: dict(zip(table.headers, line, strict=True)) for line in table.rows}


def speeds(*methods, **changes):
    conditions = {
        "classes": 4,
        "channels": 3,
        "size": (32, 48),
        "device": "cpu",
        "device_name": "AMD EPYC 9554",
        "precision": "fp32",
        "tf32": False,
        "channels_last": False,
        "compile": False,
        "threads": 2,
    }
    run = {
        "segbench": "0.1.0",
        "torch": "2.15.0",
        "started": "2026-03-01T10:00:00+00:00",
        "dataset": "data/shapes",
        "conditions": SpeedConditions(**conditions),
        "budget": SpeedBudget(iterations=200, seconds=30, max_seconds=120),
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


def test_few_blocks_have_a_speed_without_an_interval():
    assert speed_text(row([100.0, 102.0])) == "101"
    assert speed_text(None) == "-"


def test_the_99th_percentile_stands_where_it_was_taken():
    assert latency_text(row(UNET)) == "5.00 / 6.00 (200)"
    assert latency_text(row(UNET, n=1000, p99=7.0)) == "5.00 / 6.00 / 7.00 (1000)"
    assert latency_text(None) == "-"
    headers = speed_table([timed("unet", row(UNET)), timed("fcn", row(FCN, n=1000, p99=7.0))], 1).headers
    assert "forward [ms]\np50 / p95 [/ p99] (n)" in headers


def test_the_best_batch_is_the_fastest_of_the_sweep():
    sweep = [SweepPoint(batch=batch, images_per_second=speed) for batch, speed in [(1, 100), (2, 150), (4, 149)]]
    assert best_batch_text(timed("unet", sweep=sweep)) == "2 (150)"
    assert best_batch_text(timed("unet")) == "-"


def test_only_what_was_timed_in_turn_has_a_ratio():
    unet = timed("unet", row(UNET))
    assert speed_ratio(timed("fcn", row(FCN)), unet, "forward", 1).estimate == pytest.approx(gmean(FCN) / gmean(UNET))
    assert speed_ratio(timed("fcn", row(FCN), session="another"), unet, "forward", 1) is None
    assert speed_ratio(timed("fcn", row(FCN, size=(64, 64))), unet, "forward", 1) is None
    assert speed_ratio(timed("fcn", row(FCN)), unet, "forward", 8) is None
    assert speed_ratio(MethodSpeed("fcn", (row(FCN),), None), unet, "forward", 1) is None


def test_a_record_tells_its_speed(trained):
    record = trained("unet", inference=[row(UNET)], fields={"timing": timing()})
    assert MethodSpeed("unet", tuple(record.inference), record.timing) == timed("unet", row(UNET))
    old = MethodSpeed("unet", tuple(trained("unet").inference), None)
    assert (old.timing, old.row("forward", 8).batch) == (None, 8)
    assert cells(speed_table([old], 8))["unet"]["steady"] == "-"


def test_states_are_told_as_far_as_they_are_known():
    assert state_text(DeviceState()) == "state unknown"
    state = DeviceState(
        load=1.25, clock_mhz=1980, temperature_celsius=41, throttle_reasons=["gpu idle"], other_processes=1
    )
    assert state_text(state) == "load 1.25, clock 1980 MHz, 41 °C, clock not slowed, 1 other process"
    hot = DeviceState(throttle_reasons=["gpu idle", "hw thermal slowdown"])
    assert slowing_reasons(hot) == ["hw thermal slowdown"]
    assert state_text(hot) == "clock slowed by hw thermal slowdown"


def test_quiet_steady_rivals_need_no_warning():
    idle = DeviceState(load=2.0, throttle_reasons=["gpu idle"], other_processes=0)
    after = DeviceState(load=3.0, throttle_reasons=[], other_processes=0)
    assert timing_warnings([timed("unet", before=idle, after=after), MethodSpeed("old", (), None)]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"after": DeviceState(other_processes=2)}, "2 other processes computed on the device"),
        ({"after": DeviceState(throttle_reasons=["hw slowdown"])}, "the device slowed its clock: hw slowdown"),
        ({"before": DeviceState(load=2.6)}, "a load of 2.6 before timing is more than its 2 threads"),
        ({"after": DeviceState(load=3.5)}, "a load of 3.5 after timing is more than its 2 threads"),
        ({"steady": False}, "never steady in warm-up: fcn"),
        ({"session": "another"}, "not timed in one session with unet, so without a ratio: fcn"),
    ],
)
def test_what_may_have_disturbed_times_is_a_warning(changes, message):
    [warning] = timing_warnings([timed("unet"), timed("fcn", **changes)])
    assert warning.startswith(message)


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
