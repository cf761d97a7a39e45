"""The stopwatch of a device: how long an iteration takes, and many that are queued."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .latency import Stopwatch

    Step = Callable[[], object]


def stopwatch_of(step: Step, device: torch.device) -> Stopwatch:
    """Return the stopwatch for a step on a device, which is run once: what it compiles or searches for is then done."""
    step()
    return QueueStopwatch(step, device) if device.type == "cuda" else HostStopwatch(step)


class HostStopwatch:
    """Times a step that is done when it returns."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def timed(self) -> float:
        """Run the step; return its seconds."""
        started = time.perf_counter()
        self._step()
        return time.perf_counter() - started

    def queued(self, count: int) -> None:
        """Return None: nothing is queued."""


class QueueStopwatch:
    """Times a step whose work a CUDA device queues."""

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step, self._device = step, device

    def timed(self) -> float:
        """Run the step alone; return the seconds until the device has done all its work."""
        torch.cuda.synchronize(self._device)
        started = time.perf_counter()
        self._step()
        torch.cuda.synchronize(self._device)
        return time.perf_counter() - started

    def queued(self, count: int) -> float:
        """Run the step so many times; return the seconds between two events of the device around them."""
        with torch.cuda.device(self._device):
            start, end = _event(), _event()
            start.record()
            for _ in range(count):
                self._step()
            end.record()
            end.synchronize()
        milliseconds: float = start.elapsed_time(end)
        return milliseconds / 1000


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
