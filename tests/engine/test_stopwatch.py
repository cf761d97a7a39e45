from __future__ import annotations

import time

import pytest
import torch

from segbench.engine.stopwatch import stopwatch_of


@pytest.fixture
def counted():
    """A step that counts how often it was run."""

    def step():
        step.runs += 1

    step.runs = 0
    return step


def test_what_is_done_only_once_is_done_before_anything_is_timed(counted):
    stopwatch_of(counted, torch.device("cpu"))
    assert counted.runs == 1


def test_a_step_on_the_cpu_is_timed_whole(counted):
    def step():
        started = time.perf_counter()
        while time.perf_counter() < started + 0.001:
            counted()

    assert stopwatch_of(step, torch.device("cpu")).timed() >= 0.001


def test_the_cpu_queues_nothing(counted):
    assert stopwatch_of(counted, torch.device("cpu")).queued(3) is None
    assert counted.runs == 1


@pytest.mark.gpu
def test_a_cuda_device_is_waited_for():
    device = torch.device("cuda:0")
    matrix = torch.ones(4096, 4096, device=device)
    stopwatch = stopwatch_of(lambda: matrix @ matrix, device)
    alone, queued = stopwatch.timed(), stopwatch.queued(20)
    assert alone > 0
    assert queued > 0
