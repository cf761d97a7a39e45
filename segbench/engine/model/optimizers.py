"""The optimiser and the learning-rate schedule that a protocol names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.config.optimizer import Optimizer, Schedule


_ADAMW_WEIGHT_DECAY = 0.01  # AdamW without decay is Adam; the others decay only when asked to


def build_optimizer(settings: Optimizer, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser over the parameters that require a gradient."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    decay = settings.weight_decay
    match settings.use:
        case "adamw":
            decay = _ADAMW_WEIGHT_DECAY if decay is None else decay
            return torch.optim.AdamW(trained, settings.lr, weight_decay=decay, fused=True, **_betas(settings))
        case "adam":
            return torch.optim.Adam(trained, settings.lr, weight_decay=decay or 0.0, fused=True, **_betas(settings))
        case "sgd":
            momentum = settings.momentum or 0.0
            return torch.optim.SGD(trained, settings.lr, momentum=momentum, weight_decay=decay or 0.0, fused=True)
        case "rmsprop":
            momentum = settings.momentum or 0.0
            return torch.optim.RMSprop(trained, settings.lr, momentum=momentum, weight_decay=decay or 0.0)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _betas(settings: Optimizer) -> dict[str, Any]:
    return {} if settings.betas is None else {"betas": settings.betas}


def learning_rate_factor(schedule: Schedule, step: int, progress: float) -> float:
    """Return the factor on the learning rate of optimiser step `step` (from 0), `progress` of the budget in [0, 1].

    The first `warmup_steps` steps rise linearly to 1. poly is (1 - progress)^power (Liu et al. 2015, ParseNet), cosine
    is (1 + cos(pi progress)) / 2 (Loshchilov and Hutter 2017, SGDR, without restarts).

    >>> from segbench.config.optimizer import Schedule
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
