from __future__ import annotations

import pytest
from scipy.stats import gmean

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
from segbench.report.speed_test import speed_table
from segbench.store.record import DeviceState, SweepPoint

from ..timed_methods import FCN, UNET, cells, row, timed, timing  # noqa: TID252 - tests have no absolute name


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


def test_only_methods_timed_in_one_session_have_a_ratio():
    unet = timed("unet", row(UNET))
    assert speed_ratio(timed("fcn", row(FCN)), unet, "forward", 1).estimate == pytest.approx(gmean(FCN) / gmean(UNET))
    assert speed_ratio(timed("fcn", row(FCN), session="another"), unet, "forward", 1) is None
    assert speed_ratio(timed("fcn", row(FCN, size=(64, 64))), unet, "forward", 1) is None
    assert speed_ratio(timed("fcn", row(FCN)), unet, "forward", 8) is None
    assert speed_ratio(MethodSpeed("fcn", (row(FCN),), None), unet, "forward", 1) is None


def test_the_speed_of_a_record_is_that_of_its_timing(trained):
    record = trained("unet", inference=[row(UNET)], fields={"timing": timing()})
    assert MethodSpeed("unet", tuple(record.inference), record.timing) == timed("unet", row(UNET))
    old = MethodSpeed("unet", tuple(trained("unet").inference), None)
    assert (old.timing, old.row("forward", 8).batch) == (None, 8)
    assert cells(speed_table([old], 8))["unet"]["steady"] == "-"


def test_states_are_described_as_far_as_they_are_known():
    assert state_text(DeviceState()) == "state unknown"
    state = DeviceState(
        load=1.25, clock_mhz=1980, temperature_celsius=41, throttle_reasons=["gpu idle"], other_processes=1
    )
    assert state_text(state) == "load 1.25, clock 1980 MHz, 41 °C, clock not slowed, 1 other process"
    hot = DeviceState(throttle_reasons=["gpu idle", "hw thermal slowdown"])
    assert slowing_reasons(hot) == ["hw thermal slowdown"]
    assert state_text(hot) == "clock slowed by hw thermal slowdown"


def test_quiet_and_steady_methods_need_no_warning():
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


def test_ratios_that_an_adaptive_budget_did_not_get_within_2_percent_are_a_warning():
    speeds = {
        "unet": [100.0, 101.0, 99.0, 100.0, 100.0],
        "even": [50.0, 50.5, 49.5, 50.0, 50.0],
        "noisy": [50.0, 55.0, 45.0, 52.0, 48.0],
    }
    methods = [timed(name, row(blocks, budget="adaptive")) for name, blocks in speeds.items()]
    share = 100 * (
        speed_ratio(methods[2], methods[0], "forward", 1).high / gmean([0.5, 55 / 101, 45 / 99, 0.52, 0.48]) - 1
    )
    assert timing_warnings(methods) == [
        f"the time was up before ratios to unet were known within 2 %: noisy ±{share:.0f} %; "
        "`timing: full` measures longer"
    ]
    assert timing_warnings(methods[:2]) == []
