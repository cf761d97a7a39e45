"""Measure one row of inference timing: warm-up, blocks, latency, throughput."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from segbench.store.record import Inference, Latency, SweepPoint

from .parts import RowSoFar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from segbench.config.timing import Timing
    from segbench.store.record import Stage

    Step = Callable[[], object]


LEAST_WARM_UP = 10  # iterations
MOST_IN_A_WINDOW = 10  # iterations
STEADY_WINDOWS = 3
STEADY_TOLERANCE = 0.02
WARM_UP_SHARE = 0.25  # of the longest time, for a machine that other work disturbs never becomes steady
LEAST_FOR_A_MEDIAN = 6  # values: the interval from the least to the largest of 6 covers the median with 96.9 %
LEAST_FOR_P99 = 1000  # iterations: ten beyond the percentile
LATENCY_SHARE = 0.5  # of a block's seconds, for single iterations where blocks are queued
WORTHWHILE_SPEED_UP = 1.02  # by how much a doubled batch must be faster for the sweep to go on


class Stopwatch(Protocol):
    """Runs and times iterations of one step on a device."""

    def time_one(self) -> float:
        """Run one iteration; return its seconds by the host's clock, all work done."""

    def time_queued(self, count: int) -> float | None:
        """Run `count` iterations without waiting in between; return their seconds by the device's own events.

        None on a device that queues nothing, such as the CPU.
        """


def make_stopwatch(step: Step, device: torch.device) -> Stopwatch:
    """Return the stopwatch for a step; the step is run once first, which compiles it and searches for kernels."""
    step()
    return QueueStopwatch(step, device) if device.type == "cuda" else HostStopwatch(step)


class HostStopwatch:
    """Times a step that is done when it returns."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def time_one(self) -> float:
        """Run the step; return its seconds."""
        started = time.perf_counter()
        self._step()
        return time.perf_counter() - started

    def time_queued(self, count: int) -> None:
        """Return None: nothing is queued."""


class QueueStopwatch:
    """Times a step whose work a CUDA device queues."""

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step, self._device = step, device

    def time_one(self) -> float:
        """Run the step alone; return the seconds until the device has done all its work."""
        torch.cuda.synchronize(self._device)
        started = time.perf_counter()
        self._step()
        torch.cuda.synchronize(self._device)
        return time.perf_counter() - started

    def time_queued(self, count: int) -> float:
        """Run the step `count` times; return the seconds between two events of the device around them."""
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


class WarmUp(NamedTuple):
    """How a warm-up ended: its last iterations' mean seconds, whether they were steady, and all its seconds."""

    seconds: float
    steady: bool
    total: float


class Block(NamedTuple):
    """Iterations that ran without a pause, and their seconds."""

    iterations: int
    seconds: float


class Measurement:
    """One row while it is measured: warmed up once, then blocks until the budget is spent.

    The budget is spent after `timing.iterations` single iterations and blocks of `timing.seconds` in total, unless
    `timing.precision` asks for more, and in any case after `timing.max_seconds`, then with the warm-up among them. On
    the CPU a block consists of single iterations. A device that queues work is given a whole block at once; single
    iterations for the latency follow it, half as long.
    """

    def __init__(self, stopwatch: Stopwatch, timing: Timing) -> None:
        self._stopwatch, self._timing = stopwatch, timing
        self._warm_up = WarmUp(0.0, steady=False, total=0.0)
        self._durations: list[float] = []
        self._blocks: list[Block] = []
        self._spent = self._uncounted = 0.0

    @property
    def steady(self) -> bool:
        """Whether the warm-up ended with a steady speed."""
        return self._warm_up.steady

    @property
    def spent(self) -> float:
        """The seconds of all iterations, also those of the warm-up and those that do not count."""
        return self._warm_up.total + self._uncounted + self._spent

    @property
    def row_so_far(self) -> RowSoFar:
        """The speeds of the blocks until now, in iterations a second, and whether the median latency is known."""
        blocks = tuple(images_per_second(1, [block]) for block in self._blocks)
        precision = self._timing.precision
        return RowSoFar(blocks, precision is None or median_is_known(self._durations, precision))

    @property
    def has_least(self) -> bool:
        """Whether there are as many iterations and seconds as the budget asks for at least."""
        in_blocks = sum(block.seconds for block in self._blocks)
        return len(self._durations) >= self._timing.iterations and in_blocks >= self._timing.seconds

    @property
    def is_done(self) -> bool:
        """Whether the budget is spent; there is one block at least."""
        if not self._blocks:
            return False
        if self._timing.precision is not None:
            return self.spent >= self._timing.max_seconds
        return self.has_least or self._spent >= self._timing.max_seconds

    def warm_up(self) -> None:
        """Repeat iterations until their speed is steady."""
        self._warm_up = warm_up(self._stopwatch.time_one, self._timing)

    def block(self) -> None:
        """Measure one block, and single iterations for the latency."""
        seconds = self._timing.seconds_a_block
        if self._warm_up.seconds < seconds:
            self._uncounted += self._stopwatch.time_one()  # it finds the caches as another method has left them
        block = queue_block(self._stopwatch, seconds, self._warm_up.seconds)
        if block is None:
            single = time_singly(self._stopwatch, seconds)
            block = Block(len(single), sum(single))
            self._spent += block.seconds
        else:
            single = time_singly(self._stopwatch, LATENCY_SHARE * seconds)
            self._spent += block.seconds + sum(single)
        self._blocks.append(block)
        self._durations += single

    def row(self, stage: Stage, batch: int, size: tuple[int, int]) -> Inference:
        """Return the row: images a second over all blocks, and percentiles of single iterations."""
        return Inference(
            stage=stage,
            batch=batch,
            size=size,
            images_per_second=images_per_second(batch, self._blocks),
            latency_ms=latency_of(self._durations),
            budget=self._timing.budget,
            blocks=[images_per_second(batch, [block]) for block in self._blocks],
        )


def warm_up(time_one: Callable[[], float], timing: Timing) -> WarmUp:
    """Repeat an iteration until its speed is steady: at least 10 times, and until three windows agree within 2 %.

    A smaller budget asks for less: windows of a twentieth of its iterations, at most 10. It ends in any case after a
    quarter of `timing.max_seconds`.
    """
    least = min(LEAST_WARM_UP, timing.iterations)
    window = max(1, min(MOST_IN_A_WINDOW, timing.iterations // 20))
    durations: list[float] = []
    steady = False
    while not durations or (not steady and sum(durations) < WARM_UP_SHARE * timing.max_seconds):
        durations.append(time_one())
        at_a_window_end = len(durations) % window == 0
        steady = at_a_window_end and len(durations) >= least and is_steady(durations, window)
    return WarmUp(float(np.mean(durations[-window:])), steady, sum(durations))


def is_steady(durations: Sequence[float], window: int) -> bool:
    """Tell whether the last three windows of `window` iterations took the same time within 2 %.

    >>> is_steady([9, 1.0, 1.01, 1.0], 1), is_steady([1.0, 1.03, 1.0], 1), is_steady([1.0, 1.0], 1)
    (True, False, False)
    """
    if len(durations) < STEADY_WINDOWS * window:
        return False
    windows = [sum(chunk) for chunk in np.split(np.array(durations[-STEADY_WINDOWS * window :]), STEADY_WINDOWS)]
    return bool(max(windows) <= min(windows) * (1 + STEADY_TOLERANCE))


def time_singly(stopwatch: Stopwatch, seconds: float) -> list[float]:
    """Return the seconds of single iterations, at least one, that together take at least `seconds`."""
    durations = [stopwatch.time_one()]
    total = durations[0]
    while total < seconds:
        durations.append(stopwatch.time_one())
        total += durations[-1]
    return durations


def queue_block(stopwatch: Stopwatch, seconds: float, expected: float) -> Block | None:
    """Return a block of at least `seconds`, or None where nothing is queued.

    `expected` is an estimate of the seconds of one iteration; if iterations take less, more are queued.
    """
    iterations, total = 0, 0.0
    while total < seconds:
        count = max(1, math.ceil((seconds - total) / expected)) if expected > 0 else 1
        taken = stopwatch.time_queued(count)
        if taken is None:
            return None
        iterations, total = iterations + count, total + taken
        expected = total / iterations
    return Block(iterations, total)


def images_per_second(batch: int, blocks: Sequence[Block]) -> float:
    """Return the throughput over all blocks together.

    >>> images_per_second(4, [Block(10, 1.0), Block(20, 1.0)])
    60.0
    """
    return batch * sum(block.iterations for block in blocks) / sum(block.seconds for block in blocks)


def median_is_known(durations: Sequence[float], precision: float) -> bool:
    """Tell whether the 95 % interval of the median lies within +- `precision` of it.

    The interval between two order statistics, which assumes no distribution (W. J. Conover, Practical Nonparametric
    Statistics, 1971); with fewer than 6 values there is none.

    >>> median_is_known([1.0, 1.01] * 10, 0.02), median_is_known([1.0, 1.2] * 10, 0.02)
    (True, False)
    """
    count = len(durations)
    if count < LEAST_FOR_A_MEDIAN:
        return False
    away = math.ceil(1.96 * math.sqrt(count) / 2)
    ordered = np.sort(durations)
    median = float(np.median(ordered))
    low, high = ordered[max(0, count // 2 - away)], ordered[min(count - 1, (count - 1) // 2 + away)]
    return bool(high - median <= precision * median and median - low <= precision * median)


def latency_of(durations: Sequence[float]) -> Latency:
    """Return percentiles of the seconds of iterations in milliseconds; the 99th only of 1000 or more."""
    p50, p95, p99 = (1000 * float(value) for value in np.percentile(durations, (50, 95, 99)))
    count = len(durations)
    return Latency(p50=p50, p95=p95, n=count, p99=p99 if count >= LEAST_FOR_P99 else None)


def short_throughput(stopwatch: Stopwatch, batch: int, timing: Timing) -> float:
    """Return images a second of one block, after an iteration from which the length of the next ones is estimated."""
    seconds = timing.seconds_a_block
    block = queue_block(stopwatch, seconds, stopwatch.time_one())
    if block is None:
        single = time_singly(stopwatch, seconds)
        block = Block(len(single), sum(single))
    return images_per_second(batch, [block])


def sweep(throughput: Callable[[int], float | None], largest: int) -> Iterator[SweepPoint]:
    """Yield the images a second of batches of 1, 2, 4 and so on up to `largest`, while each rises by 2 % or more.

    `throughput` returns None for a batch that does not fit into memory, which ends it too.
    """
    points: list[SweepPoint] = []
    batch = 1
    while batch <= largest and is_rising(points) and (rate := throughput(batch)) is not None:
        points.append(SweepPoint(batch=batch, images_per_second=rate))
        yield points[-1]
        batch *= 2


def is_rising(points: Sequence[SweepPoint]) -> bool:
    """Tell whether the last doubling of the batch was worth it; true for fewer than two points.

    >>> at_one, at_two = SweepPoint(batch=1, images_per_second=50), SweepPoint(batch=2, images_per_second=50.9)
    >>> is_rising([at_one]), is_rising([at_one, at_two])
    (True, False)
    """
    return len(points) < 2 or points[-1].images_per_second >= WORTHWHILE_SPEED_UP * points[-2].images_per_second
