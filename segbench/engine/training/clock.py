"""What the seconds of training go into: data, generator and discriminator.

The clock of training: seconds spent and images a second, pauses for validation and checkpoints left out.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


WARM_UP_STEPS = 10  # kernel searches, allocations and compilation happen in the first steps


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all queued work; the CPU queues none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class TrainingClock:
    """Runs from its making; `already` is the seconds of training before a resume.

    The device is synchronised only where a rate begins or is read, so that steps stay queued ahead of it.
    """

    def __init__(
        self, device: torch.device, already: float = 0.0, *, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._device, self._now = device, now
        self._steps = self._images = 0
        self._seconds = already
        self._started = now()
        self._measured_from: tuple[int, float] | None = None  # images and seconds when the warm-up ended
        self._reported = (0, already)

    def step(self, images: int) -> float:
        """Count one optimiser step over so many images; return the seconds of training so far."""
        self._steps += 1
        self._images += images
        if self._steps == WARM_UP_STEPS:
            synchronize(self._device)
            self._measured_from = (self._images, self.seconds())
        return self.seconds()

    def seconds(self) -> float:
        """Return the seconds of training so far, pauses left out."""
        return self._seconds + self._now() - self._started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of the clock."""
        synchronize(self._device)
        self._seconds = self.seconds()
        try:
            yield
        finally:
            self._started = self._now()

    def images_per_second(self) -> float | None:
        """Return the rate since the warm-up of 10 steps, or None if training was no longer than that."""
        synchronize(self._device)
        return None if self._measured_from is None else self._rate_since(*self._measured_from)

    def recent_images_per_second(self) -> float | None:
        """Return the rate since the last call, for display."""
        rate = self._rate_since(*self._reported)
        self._reported = (self._images, self.seconds())
        return rate

    def _rate_since(self, images: int, seconds: float) -> float | None:
        elapsed = self.seconds() - seconds
        return (self._images - images) / elapsed if elapsed > 0 and self._images > images else None
