"""The optimiser that a protocol names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from segbench.spec.protocol import Optimizer

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
