"""The optimiser and the learning-rate schedule that a protocol names."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import torch

from segbench.config.optimizer import TIMM
from segbench.errors import SpecError, alternatives
from segbench.shown import quote

from .parameters import MULTIPLIER, group_parameters

if TYPE_CHECKING:
    from segbench.config.optimizer import Optimizer, Schedule


_ADAMW_WEIGHT_DECAY = 0.01  # AdamW without decay is Adam; the others decay only when asked to

# The curve of one_cycle, as torch's OneCycleLR has it by default: the share of the budget over which the rate rises,
# from which part of it, and how far below that part it falls.
_RISING_SHARE, _FIRST_PART, _LAST_PART = 0.3, 1 / 25, 1e-4

# Parameters of timm's optimisers that are no settings of a recipe: they choose an implementation.
_NO_SETTINGS = frozenset({"params", "lr", "foreach", "fused", "capturable", "differentiable", "maximize"})


def build_optimizer(settings: Optimizer, network: torch.nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser over the parameters of a network that require a gradient.

    Raises SpecError for a pattern that matches no parameter, an optimiser that timm lacks, and settings that one lacks.
    """
    trained, decay = group_parameters(settings, network), settings.weight_decay
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
        case _:
            return _build_of_timm(settings, trained)


def _build_of_timm(settings: Optimizer, trained: Any) -> torch.optim.Optimizer:
    """Return an optimiser of timm; what the settings leave open is as timm has it, and nothing decays unasked."""
    import timm.optim

    library: Any = timm.optim  # whose types say less than it gives
    name = settings.use.removeprefix(TIMM)
    refused = {one: _why_refused(library.get_optimizer_info(one)) for one in library.list_optimizers()}
    usable = [f"{TIMM}{one}" for one, reason in refused.items() if reason is None]
    if settings.use not in usable:
        reason = f"{settings.use} {refused[name]}" if name in refused else f"timm has no optimiser {quote(name)}"
        raise SpecError(f"use: {reason}.{alternatives(settings.use, usable)}").among(usable)
    info = library.get_optimizer_info(name)
    takes = sorted(set(inspect.signature(info.opt_class).parameters) - _NO_SETTINGS)
    decay = {"weight_decay": settings.weight_decay} if settings.weight_decay else {}
    momentum = {} if settings.momentum is None else {"momentum": settings.momentum}
    given = {**decay, **momentum, **_betas(settings), **(settings.options or {})}
    for key in given:
        if key not in takes:
            unknown = f"use: {settings.use} has no setting {quote(key)}.{alternatives(key, takes)}"
            raise SpecError(unknown).among(takes)
    if settings.betas is not None and info.num_betas != len(settings.betas):
        raise SpecError(f"use: {settings.use} has {info.num_betas} betas; give them as options: {{betas: [...]}}")
    try:
        built: torch.optim.Optimizer = library.create_optimizer_v2(trained, name, lr=settings.lr, **given)
    except (TypeError, ValueError, LookupError) as error:
        raise SpecError(f"use: {settings.use} does not take {quote(given)}: {error}") from error
    return built


def _why_refused(info: Any) -> str | None:
    """Return why an optimiser of timm cannot be used here, None if it can; `info` is timm's OptimInfo."""
    if isinstance(info.opt_class, str):
        return f"needs the library {info.opt_class.partition('.')[0]} and a GPU"
    if info.second_order:
        return "takes second derivatives of the loss, which no step keeps"
    if info.opt_class.__name__ == "Kron":
        return "keeps what no checkpoint can hold"
    return None


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group this learning rate times its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(MULTIPLIER, 1.0)


def _betas(settings: Optimizer) -> dict[str, Any]:
    return {} if settings.betas is None else {"betas": settings.betas}


def learning_rate_factor(schedule: Schedule, step: int, progress: float) -> float:
    """Return the factor on the learning rate of optimiser step `step` (from 0), `progress` of the budget in [0, 1].

    The first `warmup_steps` steps rise linearly to 1. poly is (1 - progress)^power (Liu et al. 2015, ParseNet), cosine
    is (1 + cos(pi progress)) / 2, begun anew by each restart (Loshchilov and Hutter 2017, SGDR), one_cycle rises and
    falls as half waves of the cosine (Smith and Topin 2018, super-convergence; the momentum is not cycled).

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
            passed = progress * (schedule.restarts + 1)
            return _half_wave(1.0, 0.0, passed - min(int(passed), schedule.restarts))
        case "constant":
            return 1.0
        case "one_cycle":
            if progress < _RISING_SHARE:
                return _half_wave(_FIRST_PART, 1.0, progress / _RISING_SHARE)
            return _half_wave(1.0, _FIRST_PART * _LAST_PART, (progress - _RISING_SHARE) / (1 - _RISING_SHARE))


def _half_wave(first: float, last: float, progress: float) -> float:
    """Return what lies between two values along half a wave of the cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
