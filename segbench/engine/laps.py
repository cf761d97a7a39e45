"""What the seconds of training go into: data, generator and critic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import torch

from .training_clock import WARM_UP_STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

TrainingPart = Literal["data", "generator", "critic"]

# On a CUDA device, of so many steps one is looked at; recording an event takes the host a few microseconds.
_EVERY = 8


class Laps:
    """Adds up the time of each part of a training step, in the order in which the loop calls `end`.

    On the CPU it is the host's time. On a CUDA device the work is only queued, so events are queued with it, on one
    step of eight, and read once the device has come to the end of training: no step is waited for.
    """

    def __init__(self, device: torch.device, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._on_cuda, self._now = device.type == "cuda", now
        self._steps = 0
        self._looks = False
        self._began: float | torch.cuda.Event | None = None
        self._seconds: dict[TrainingPart, float] = {}
        self._queued: list[tuple[TrainingPart, torch.cuda.Event, torch.cuda.Event]] = []

    def begin(self) -> None:
        """Begin a step."""
        self._steps += 1
        self._looks = self._steps > WARM_UP_STEPS and (not self._on_cuda or self._steps % _EVERY == 0)
        if self._looks:
            self._began = self._mark()

    def end(self, part: TrainingPart) -> None:
        """Say that what was done since the last call belongs to this part."""
        if not self._looks:
            return
        began, self._began = self._began, self._mark()
        if isinstance(began, float) and isinstance(self._began, float):
            self._seconds[part] = self._seconds.get(part, 0.0) + self._began - began
        elif isinstance(began, torch.cuda.Event) and isinstance(self._began, torch.cuda.Event):
            self._queued.append((part, began, self._began))

    def shares(self) -> dict[TrainingPart, float] | None:
        """Return the share of each part, which sum to 1; None if training was no longer than its warm-up.

        Waits for a CUDA device.
        """
        for part, began, ended in self._queued:
            ended.synchronize()
            self._seconds[part] = self._seconds.get(part, 0.0) + began.elapsed_time(ended) / 1000
        self._queued.clear()
        total = sum(self._seconds.values())
        return {part: seconds / total for part, seconds in sorted(self._seconds.items())} if total > 0 else None

    def _mark(self) -> float | torch.cuda.Event:
        if not self._on_cuda:
            return self._now()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
