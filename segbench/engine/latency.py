"""How one inference measurement is run and summed up, whatever is measured and whatever tells the time.

`now` returns seconds once all queued work is done; `step` is one iteration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segbench.store.record import Inference, Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.spec.protocol import Timing

    Clock = Callable[[], float]
    Step = Callable[[], object]

LEAST_WARM_UP = 10  # iterations
MOST_IN_A_WINDOW = 10  # iterations
WINDOWS = 3
TOLERANCE = 0.02


def measure(step: Step, now: Clock, timing: Timing) -> list[float]:
    """Warm up, then return the seconds of each iteration until the budget is spent.

    It is spent with `timing.iterations` done in at least `timing.seconds`, or after `timing.max_seconds`.
    """
    warm_up(step, now, timing)
    durations = [_timed(step, now)]
    total = durations[0]
    while total < timing.max_seconds and (len(durations) < timing.iterations or total < timing.seconds):
        durations.append(_timed(step, now))
        total += durations[-1]
    return durations


def warm_up(step: Step, now: Clock, timing: Timing) -> None:
    """Repeat a step until its speed is steady: at least 10 times, and until three windows agree within 2 %.

    A smaller budget asks for less: windows of a twentieth of its iterations, at most 10. It ends in any case after half
    of `timing.max_seconds`, for a machine that other work disturbs never becomes steady.
    """
    least = min(LEAST_WARM_UP, timing.iterations)
    window = max(1, min(MOST_IN_A_WINDOW, timing.iterations // 20))
    durations: list[float] = []
    while sum(durations) < timing.max_seconds / 2:
        durations.append(_timed(step, now))
        at_a_window_end = len(durations) % window == 0
        if at_a_window_end and len(durations) >= least and is_steady(durations, window):
            return


def is_steady(durations: Sequence[float], window: int) -> bool:
    """Tell whether the last three windows of so many iterations took the same time within 2 %.

    >>> is_steady([9, 1.0, 1.01, 1.0], 1), is_steady([1.0, 1.03, 1.0], 1), is_steady([1.0, 1.0], 1)
    (True, False, False)
    """
    if len(durations) < WINDOWS * window:
        return False
    windows = [sum(chunk) for chunk in np.split(np.array(durations[-WINDOWS * window :]), WINDOWS)]
    return bool(max(windows) <= min(windows) * (1 + TOLERANCE))


def inference_row(durations: Sequence[float], batch: int, size: tuple[int, int], timing: Timing) -> Inference:
    """Return the row of a measurement: images a second over all of it, and percentiles of the time of a batch."""
    p50, p95 = np.percentile(durations, (50, 95))
    return Inference(
        stage="forward",
        batch=batch,
        size=size,
        images_per_second=batch * len(durations) / sum(durations),
        latency_ms=Latency(p50=1000 * p50, p95=1000 * p95, n=len(durations)),
        budget=timing.budget,
    )


def _timed(step: Step, now: Clock) -> float:
    started = now()
    step()
    return now() - started
