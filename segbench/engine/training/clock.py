"""The clock of training: its seconds and images a second, and the share of time of each part of a step.

Pauses for validation and checkpoints are left out.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TrainingPart = Literal["data", "generator", "critic"]  # names in records; "critic" is the discriminator

WARM_UP_STEPS = 10  # kernel searches, allocations and compilation happen in the first steps


class TrainingClock:
    """Measures the seconds of training from its creation on; `already` are those before a resume.

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
        """Count one optimiser step on `images` images; return the seconds of training so far."""
        self._steps += 1
        self._images += images
        if self._steps == WARM_UP_STEPS:
            synchronize(self._device)
            self._measured_from = (self._images, self.seconds())
        return self.seconds()

    @property
    def is_just_warm(self) -> bool:
        """Whether the last step was the last of the warm-up."""
        return self._steps == WARM_UP_STEPS

    def seconds(self) -> float:
        """Return the seconds of training so far, pauses left out."""
        return self._seconds + self._now() - self._started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock inside the block."""
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


class PartTimer:
    """Adds up the time of each part of a training step; the loop calls `end` after each part.

    On the CPU it is the host's time. On a CUDA device the work is only queued, so events are queued with it, some
    microseconds each, and read when the device has passed them: no step is waited for. Every step counts, since what
    happens at every tenth step, or at every second one, would be missed or counted alone by any other rhythm.
    """

    def __init__(self, device: torch.device, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._on_cuda, self._now = device.type == "cuda", now
        self._steps = 0
        self._start: float | torch.cuda.Event | None = None
        self._seconds: dict[TrainingPart, float] = {}
        self._queued: deque[tuple[TrainingPart, torch.cuda.Event, torch.cuda.Event]] = deque()

    def begin(self) -> None:
        """Begin a step."""
        self._steps += 1
        if self._steps > WARM_UP_STEPS:
            self._start = self._mark()
        while self._queued and self._queued[0][2].query():  # type: ignore[no-untyped-call]
            self._count_first()

    def end(self, part: TrainingPart) -> None:
        """Count the time since the last call for this part."""
        began = self._start
        if began is None:
            return
        self._start = self._mark()
        if isinstance(began, float) and isinstance(self._start, float):
            self._add(part, self._start - began)
        elif isinstance(began, torch.cuda.Event) and isinstance(self._start, torch.cuda.Event):
            self._queued.append((part, began, self._start))

    def shares(self) -> dict[TrainingPart, float] | None:
        """Return the share of each part, which sum to 1; None if training was no longer than its warm-up.

        Waits for a CUDA device.
        """
        if self._queued:
            self._queued[-1][2].synchronize()
        while self._queued:
            self._count_first()
        total = sum(self._seconds.values())
        return {part: seconds / total for part, seconds in sorted(self._seconds.items())} if total > 0 else None

    def _count_first(self) -> None:
        part, began, ended = self._queued.popleft()
        self._add(part, began.elapsed_time(ended) / 1000)

    def _add(self, part: TrainingPart, seconds: float) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    def _mark(self) -> float | torch.cuda.Event:
        if not self._on_cuda:
            return self._now()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all queued work; the CPU queues none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
