from __future__ import annotations

import pytest
import torch

from segbench.engine.training.clock import PartTimer, TrainingClock

WARM_UP = 10


class Clock:
    """Tells the seconds that the test has let pass."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def step(timer, clock, **parts):
    timer.begin()
    for part, seconds in parts.items():
        clock.seconds += seconds
        timer.end(part)


def test_shares_are_those_of_the_time_that_passed_before_each_end():
    clock = Clock()
    timer = PartTimer(torch.device("cpu"), now=clock)
    for _ in range(WARM_UP + 3):
        step(timer, clock, data=1.0, generator=5.0, critic=2.0)
    assert timer.shares() == pytest.approx({"critic": 0.25, "data": 0.125, "generator": 0.625})


def test_a_part_may_come_several_times_in_a_step():
    clock = Clock()
    timer = PartTimer(torch.device("cpu"), now=clock)
    for _ in range(WARM_UP + 1):
        timer.begin()
        for part in ("critic", "data", "generator", "critic", "generator"):
            clock.seconds += 1.0
            timer.end(part)
    assert timer.shares() == pytest.approx({"critic": 0.4, "data": 0.2, "generator": 0.4})


def test_the_warm_up_and_what_lies_between_steps_count_for_nothing():
    clock = Clock()
    timer = PartTimer(torch.device("cpu"), now=clock)
    for _ in range(WARM_UP):
        step(timer, clock, data=100.0, generator=0.0)
    assert timer.shares() is None
    clock.seconds += 1000.0  # a validation
    step(timer, clock, data=1.0, generator=3.0)
    assert timer.shares() == pytest.approx({"data": 0.25, "generator": 0.75})


class Device:
    """A device that has done all that was queued up to some moment; an event is the moment at which it was queued."""

    queued = done = 0.0


class Event:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = self.device.queued

    def query(self):
        return self.at <= self.device.done

    def synchronize(self):
        self.device.done = max(self.device.done, self.at)

    def elapsed_time(self, other):
        assert other.query(), "the device has not come there"
        return 1000 * (other.at - self.at)


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Event, "device", Device(), raising=False)
    return Event.device


def queue_steps(timer, device, first, count):
    """Queue steps of 1 s of data and 2 s of the generator; the discriminator has 10 s at each tenth."""
    for step in range(first, first + count):
        timer.begin()
        for part, seconds in {"data": 1.0, "critic": 10.0 if step % 10 == 0 else 0.0, "generator": 2.0}.items():
            device.queued += seconds
            timer.end(part)


def test_on_a_device_what_happens_at_every_tenth_step_has_its_share(device):
    timer = PartTimer(torch.device("cuda"))
    queue_steps(timer, device, 0, WARM_UP + 40)
    assert timer.shares() == pytest.approx({"critic": 40 / 160, "data": 40 / 160, "generator": 80 / 160})


def test_no_more_events_are_kept_than_the_device_has_yet_to_pass(device):
    timer = PartTimer(torch.device("cuda"))
    for step in range(100):
        queue_steps(timer, device, step, 1)
        device.done = device.queued - 3.0  # it is about a step behind
        assert len(timer._queued) <= 6
    assert timer.shares() == pytest.approx({"critic": 90 / 360, "data": 90 / 360, "generator": 180 / 360})


@pytest.mark.gpu
def test_on_a_gpu_the_time_is_that_of_the_queued_work():
    device = torch.device("cuda")
    matrix = torch.randn(4096, 4096, device=device)
    timer = PartTimer(device)
    for _ in range(32):
        timer.begin()
        matrix @ matrix
        timer.end("data")
        for _ in range(9):
            matrix @ matrix
        timer.end("generator")
    shares = timer.shares()
    assert shares is not None
    assert shares["generator"] > 5 * shares["data"]


CPU = torch.device("cpu")


class FakeTime:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def run_steps(clock: TrainingClock, time: FakeTime, steps: int, seconds_each: float, images: int = 4) -> None:
    for _ in range(steps):
        time.seconds += seconds_each
        clock.step(images)


def test_the_first_ten_steps_do_not_count_into_the_rate():
    time = FakeTime()
    clock = TrainingClock(CPU, now=time)
    run_steps(clock, time, 10, seconds_each=9.0)
    run_steps(clock, time, 5, seconds_each=0.5)
    assert clock.images_per_second() == pytest.approx(8.0)


def test_a_rate_is_unknown_during_the_warm_up():
    time = FakeTime()
    clock = TrainingClock(CPU, now=time)
    run_steps(clock, time, 10, seconds_each=1.0)
    assert clock.images_per_second() is None


def test_pauses_count_neither_as_seconds_nor_into_the_rate():
    time = FakeTime()
    clock = TrainingClock(CPU, now=time)
    run_steps(clock, time, 10, seconds_each=1.0)
    with clock.paused():
        time.seconds += 1000
    run_steps(clock, time, 10, seconds_each=1.0)
    assert clock.seconds() == pytest.approx(20.0)
    assert clock.images_per_second() == pytest.approx(4.0)


def test_seconds_before_a_resume_are_added():
    time = FakeTime()
    clock = TrainingClock(CPU, already=50.0, now=time)
    time.seconds += 1.0
    assert clock.step(4) == pytest.approx(51.0)


def test_the_recent_rate_looks_back_to_the_last_report():
    time = FakeTime()
    clock = TrainingClock(CPU, now=time)
    run_steps(clock, time, 2, seconds_each=1.0)
    assert clock.recent_images_per_second() == pytest.approx(4.0)
    run_steps(clock, time, 2, seconds_each=0.25)
    assert clock.recent_images_per_second() == pytest.approx(16.0)
    assert clock.recent_images_per_second() is None
