"""The clock of training: seconds spent and images a second, pauses for validation and checkpoints left out."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
