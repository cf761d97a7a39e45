from __future__ import annotations

import pytest

from segbench.engine.latency import inference_row, measure, warm_up
from segbench.spec.protocol import Timing


class FakeDevice:
    """A device on which each step takes a time that the test decides, and its clock."""

    def __init__(self, durations):
        self._durations = iter(durations)
        self._now = 100.0
        self.steps = 0

    def now(self):
        return self._now

    def step(self):
        self.steps += 1
        self._now += next(self._durations)


def always(seconds):
    while True:
        yield seconds


def steady_after(count, seconds):
    """So many steps, each 1 % faster than the one before, then equal ones."""
    for step in range(count, 0, -1):
        yield seconds * 1.01**step
    yield from always(seconds)


def test_a_steady_device_is_warm_after_three_windows():
    device = FakeDevice(always(0.1))
    warm_up(device.step, device.now, Timing())
    assert device.steps == 30


def test_a_small_budget_warms_up_for_at_most_ten_iterations_of_a_steady_device():
    device = FakeDevice(always(0.001))
    warm_up(device.step, device.now, Timing(iterations=40, seconds=1, max_seconds=5))
    assert device.steps == 10
    device = FakeDevice(always(0.001))
    warm_up(device.step, device.now, Timing(iterations=5, seconds=1, max_seconds=5))
    assert device.steps == 5


def test_warming_up_goes_on_until_three_windows_agree():
    device = FakeDevice(steady_after(45, 0.1))
    warm_up(device.step, device.now, Timing())
    # Iterations 41 to 50 are 1.5 % slower than those after them on average, 31 to 40 more than 2 %.
    assert device.steps == 70


def test_a_device_that_never_becomes_steady_is_measured_after_half_of_the_longest_time():
    device = FakeDevice(seconds for _ in range(10_000) for seconds in (1.0, 3.0, 1.0, 1.0, 5.0, 1.0, 2.0))
    warm_up(device.step, device.now, Timing(iterations=200, seconds=30, max_seconds=60))
    assert 30 <= device.now() - 100.0 < 35


def test_measuring_ends_when_iterations_and_seconds_are_reached():
    device = FakeDevice(always(0.5))
    assert len(measure(device.step, device.now, Timing(iterations=20, seconds=30, max_seconds=120))) == 60
    device = FakeDevice(always(2.0))
    assert len(measure(device.step, device.now, Timing(iterations=20, seconds=30, max_seconds=120))) == 20


def test_measuring_ends_at_the_longest_time_with_what_there_is():
    device = FakeDevice(always(10.0))
    assert len(measure(device.step, device.now, Timing(iterations=200, seconds=30, max_seconds=120))) == 12


def test_one_iteration_longer_than_all_time_still_gives_a_number():
    device = FakeDevice(always(1000.0))
    assert measure(device.step, device.now, Timing(iterations=5, seconds=1, max_seconds=2)) == [1000.0]


def test_the_iterations_of_the_warm_up_are_not_measured():
    device = FakeDevice(steady_after(9, 0.1))
    timing = Timing(iterations=20, seconds=1, max_seconds=100)
    assert measure(device.step, device.now, timing) == pytest.approx([0.1] * 20)


def test_a_row_states_throughput_percentiles_and_how_many_iterations_they_rest_on():
    row = inference_row([0.010] * 19 + [0.110], batch=4, size=(36, 48), timing=Timing())
    assert row.images_per_second == pytest.approx(4 * 20 / 0.3)
    assert row.latency_ms.n == 20
    assert row.latency_ms.p50 == pytest.approx(10)
    # Between the 19th and the 20th of 20 values, a twentieth of the way: rank 0.95 * 19 = 18.05
    assert row.latency_ms.p95 == pytest.approx(10 + 0.05 * 100)
    assert (row.stage, row.batch, row.size, row.budget) == ("forward", 4, (36, 48), "full")


@pytest.mark.parametrize("less", [{"iterations": 199}, {"seconds": 29}, {"max_seconds": 119}])
def test_a_budget_below_the_default_is_called_reduced(less):
    assert Timing().budget == Timing(iterations=400, seconds=60, max_seconds=240).budget == "full"
    assert inference_row([0.1], 1, (4, 4), Timing(**less)).budget == "reduced"
