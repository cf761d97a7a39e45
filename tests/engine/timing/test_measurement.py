from __future__ import annotations

import time
from itertools import islice

import numpy as np
import pytest
import torch

from segbench.config.timing import Timing
from segbench.engine.timing.measurement import (
    Measurement,
    latency_of,
    make_stopwatch,
    queue_block,
    short_throughput,
    sweep,
    time_singly,
    warm_up,
)


class FakeHost:
    """A device that queues nothing, on which each step takes a time that the test decides."""

    def __init__(self, durations):
        self._durations = iter(durations)
        self.now = 100.0
        self.steps = 0

    def time_one(self):
        self.steps += 1
        taken = next(self._durations)
        self.now += taken
        return taken

    def time_queued(self, count):
        return None


class FakeQueue(FakeHost):
    """A device on which a queued step takes less time than one that is waited for."""

    def __init__(self, durations, queued):
        super().__init__(durations)
        self._queued = queued
        self.counts = []

    def time_queued(self, count):
        self.counts.append(count)
        self.now += count * self._queued
        return count * self._queued


def always(seconds):
    while True:
        yield seconds


def steady_after(count, seconds):
    """So many steps, each 1 % faster than the one before, then equal ones."""
    for step in range(count, 0, -1):
        yield seconds * 1.01**step
    yield from always(seconds)


def measured(stopwatch, timing):
    measurement = Measurement(stopwatch, timing)
    measurement.warm_up()
    blocks = 0
    while not measurement.is_done:
        measurement.block()
        blocks += 1
    return measurement, blocks


def row(measurement, batch=1):
    return measurement.row("forward", batch, (4, 4))


def test_a_steady_device_is_warm_after_three_windows():
    device = FakeHost(always(0.1))
    warmth = warm_up(device.time_one, Timing())
    assert device.steps == 30
    assert warmth == (pytest.approx(0.1), True, pytest.approx(3.0))


def test_a_small_budget_warms_up_for_at_most_ten_iterations_of_a_steady_device():
    device = FakeHost(always(0.001))
    warm_up(device.time_one, Timing(iterations=40, seconds=1, max_seconds=5))
    assert device.steps == 10
    device = FakeHost(always(0.001))
    warm_up(device.time_one, Timing(iterations=5, seconds=1, max_seconds=5))
    assert device.steps == 5


def test_warming_up_goes_on_until_three_windows_agree():
    device = FakeHost(steady_after(45, 0.1))
    # Iterations 41 to 50 are 1.5 % slower than those after them on average, 31 to 40 more than 2 %.
    assert warm_up(device.time_one, Timing()).steady
    assert device.steps == 70


def test_a_device_that_never_becomes_steady_is_measured_after_a_quarter_of_the_longest_time_and_said_so():
    device = FakeHost(seconds for _ in range(10_000) for seconds in (1.0, 3.0, 1.0, 1.0, 5.0, 1.0, 2.0))
    warmth = warm_up(device.time_one, Timing(iterations=200, seconds=30, max_seconds=120))
    assert 30 <= device.now - 100.0 < 35
    assert not warmth.steady


def test_blocks_are_taken_until_iterations_and_seconds_are_reached():
    # 8 iterations of 1/8 s a block; 30 s are 30 blocks and 240 iterations, more than the 200 that are asked for.
    measurement, blocks = measured(FakeHost(always(0.125)), Timing())
    assert (blocks, row(measurement).latency_ms.n) == (30, 240)
    # 200 iterations of 0.5 s take longer than 30 s.
    measurement, blocks = measured(FakeHost(always(0.5)), Timing())
    assert (blocks, row(measurement).latency_ms.n) == (100, 200)


def test_blocks_end_at_the_longest_time_with_what_there_is():
    measurement, blocks = measured(FakeHost(always(10.0)), Timing())
    assert (blocks, row(measurement).latency_ms.n) == (12, 12)


def test_one_iteration_longer_than_all_time_still_gives_a_number():
    measurement, blocks = measured(FakeHost(always(1000.0)), Timing(iterations=5, seconds=1, max_seconds=2))
    assert blocks == 1
    assert row(measurement).latency_ms.p50 == pytest.approx(1_000_000)


def test_few_seconds_are_spent_in_at_least_five_blocks():
    _, blocks = measured(FakeHost(always(0.001)), Timing(iterations=10, seconds=0.5, max_seconds=2))
    assert blocks == 5


def test_neither_the_warm_up_nor_what_another_method_left_in_the_caches_is_measured():
    warming_up = islice(steady_after(7, 0.125), 10)
    durations = [*warming_up, *[0.9, *[0.125] * 8] * 40]  # each block begins with a slow one
    measurement, blocks = measured(FakeHost(durations), Timing(iterations=20, seconds=30, max_seconds=100))
    assert blocks == 30
    assert row(measurement).latency_ms.p95 == pytest.approx(125)
    assert row(measurement).images_per_second == pytest.approx(8)


def test_an_iteration_as_long_as_a_block_is_not_repeated_for_the_caches():
    device = FakeHost(always(2.0))
    measured(device, Timing(iterations=10, seconds=30, max_seconds=120))
    assert device.steps == 10 + 15  # warmed up, and in blocks


def test_throughput_is_that_of_queued_blocks_and_latency_that_of_single_iterations():
    device = FakeQueue(always(0.02), queued=0.01)
    measurement, blocks = measured(device, Timing())
    found = row(measurement, batch=4)
    assert found.images_per_second == pytest.approx(400)
    assert found.blocks == pytest.approx([400] * blocks)
    assert found.latency_ms.p50 == pytest.approx(20)
    assert blocks == 30
    assert found.latency_ms.n == 30 * 25  # half as long as a block each


def test_the_longest_time_holds_single_iterations_too():
    _, blocks = measured(FakeQueue(always(4.0), queued=4.0), Timing())
    assert blocks == 15  # of 8 s each


def test_a_queued_block_is_continued_until_it_is_long_enough():
    device = FakeQueue(always(0.1), queued=0.01)
    block = queue_block(device, seconds=1.0, expected=0.1)
    assert device.counts == [10, 90]
    assert block == (100, pytest.approx(1.0))


def test_nothing_is_queued_on_the_cpu():
    device = FakeHost(always(0.1))
    assert queue_block(device, seconds=1.0, expected=0.1) is None
    assert device.steps == 0


def test_single_iterations_are_timed_for_as_long_as_asked_and_once_at_least():
    assert time_singly(FakeHost(always(0.4)), 1.0) == [0.4, 0.4, 0.4]
    assert time_singly(FakeHost(always(7.0)), 1.0) == [7.0]


def test_a_row_states_throughput_over_all_blocks_and_each_block_in_order():
    durations = [*[0.125] * 30, *[0.125] * 9, *[0.25] * 5]  # nine and five: the first of a block does not count
    measurement = Measurement(FakeHost(durations), Timing())
    measurement.warm_up()
    measurement.block()
    measurement.block()
    found = row(measurement, batch=3)
    assert found.blocks == pytest.approx([24, 12])
    assert found.images_per_second == pytest.approx(3 * 12 / 2)  # 12 batches in 2 s
    assert (found.stage, found.batch, found.size, found.budget) == ("forward", 3, (4, 4), "full")


def test_percentiles_lie_between_the_sorted_values():
    latency = latency_of([0.010] * 19 + [0.110])
    assert latency.n == 20
    assert latency.p50 == pytest.approx(10)
    # Between the 19th and the 20th of 20 values, a twentieth of the way: rank 0.95 * 19 = 18.05
    assert latency.p95 == pytest.approx(10 + 0.05 * 100)


def test_the_99th_percentile_is_told_of_a_thousand_iterations_or_more():
    assert latency_of([0.01] * 999).p99 is None
    durations = np.arange(1, 1001) / 1000
    # Rank 0.99 * 999 = 989.01 of the values 1 to 1000 ms, counted from 0
    assert latency_of(durations.tolist()).p99 == pytest.approx(990.01)


@pytest.mark.parametrize("less", [{"iterations": 199}, {"seconds": 29}, {"max_seconds": 119}, {"block_seconds": 0.9}])
def test_a_row_of_a_budget_below_the_default_is_called_reduced(less):
    measurement = Measurement(FakeHost(always(0.1)), Timing(**less))
    measurement.warm_up()
    measurement.block()
    assert row(measurement).budget == "reduced"


def throughputs(*values):
    return dict(zip((1, 2, 4, 8, 16), values, strict=False)).get


def test_the_sweep_stops_where_throughput_no_longer_rises_by_two_percent():
    points = list(sweep(throughputs(100, 150, 152, 300), 1024))
    assert [(point.batch, point.images_per_second) for point in points] == [(1, 100), (2, 150), (4, 152)]


def test_the_sweep_stops_where_memory_is_out():
    assert [point.batch for point in sweep(throughputs(100, 200, 400, None), 1024)] == [1, 2, 4]


def test_the_sweep_goes_no_further_than_asked():
    assert [point.batch for point in sweep(throughputs(100, 200, 400, 800), 5)] == [1, 2, 4]
    assert list(sweep(throughputs(100), 0)) == []


@pytest.mark.parametrize("device", [FakeHost(always(0.25)), FakeQueue(always(0.5), queued=0.25)])
def test_a_point_of_the_sweep_is_one_block(device):
    assert short_throughput(device, 8, Timing()) == pytest.approx(32)


@pytest.fixture
def counted():
    """A step that counts how often it was run."""

    def step():
        step.runs += 1

    step.runs = 0
    return step


def test_what_is_done_only_once_is_done_before_anything_is_timed(counted):
    make_stopwatch(counted, torch.device("cpu"))
    assert counted.runs == 1


def test_a_step_on_the_cpu_is_timed_whole(counted):
    def step():
        started = time.perf_counter()
        while time.perf_counter() < started + 0.001:
            counted()

    assert make_stopwatch(step, torch.device("cpu")).time_one() >= 0.001


def test_the_cpu_queues_nothing(counted):
    assert make_stopwatch(counted, torch.device("cpu")).time_queued(3) is None
    assert counted.runs == 1


@pytest.mark.gpu
def test_a_cuda_device_is_waited_for():
    device = torch.device("cuda:0")
    matrix = torch.ones(4096, 4096, device=device)
    stopwatch = make_stopwatch(lambda: matrix @ matrix, device)
    alone, queued = stopwatch.time_one(), stopwatch.time_queued(20)
    assert alone > 0
    assert queued > 0
