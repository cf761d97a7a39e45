"""The learning rate over training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segbench.spec.protocol import Schedule


def learning_rate_factor(schedule: Schedule, step: int, progress: float) -> float:
    """Return the factor on the learning rate of optimiser step `step` (from 0), `progress` of the budget in [0, 1].

    The first `warmup_steps` steps rise linearly to 1. poly is (1 - progress)^power (Liu et al. 2015, ParseNet), cosine
    is (1 + cos(pi progress)) / 2 (Loshchilov and Hutter 2017, SGDR, without restarts).

    >>> from segbench.spec.protocol import Schedule
    >>> learning_rate_factor(Schedule(use="cosine"), step=50, progress=0.5)
    0.5
    """
    warmup = min(1.0, (step + 1) / (schedule.warmup_steps + 1))
    return warmup * _decay(schedule, min(progress, 1.0))


def _decay(schedule: Schedule, progress: float) -> float:
    match schedule.use:
        case "poly":
            return float((1 - progress) ** schedule.power)
        case "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        case "constant":
            return 1.0
