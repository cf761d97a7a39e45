from __future__ import annotations

import pytest
import torch

from segbench.engine.training_clock import TrainingClock

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
