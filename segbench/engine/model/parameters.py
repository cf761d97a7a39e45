"""Which parameters of a network learn how: groups of one learning rate and weight decay, and those that are frozen.

Names are those of the plugin's own network, without the modules in which all its parameters lie: `encoder.conv1.weight`
in place of `model.encoder.conv1.weight`. Patterns are globs over them (`segbench.config.optimizer.Optimizer`).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any

from segbench.errors import SpecError, list_some, nearest
from segbench.shown import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import nn

    from segbench.config.optimizer import Optimizer


# The key of a parameter group for its factor on the learning rate.
MULTIPLIER = "multiplier"


def group_parameters(settings: Optimizer, network: nn.Module) -> list[nn.Parameter] | list[dict[str, Any]]:
    """Return the parameters that require a gradient, in groups where the settings tell them apart.

    Raises SpecError for a pattern that matches no parameter.
    """
    outside = _outside(network)
    named = {name.removeprefix(outside): parameter for name, parameter in network.named_parameters()}
    trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    if settings.multipliers is None and settings.no_decay is None:
        return list(trained.values())
    multipliers = settings.multipliers or {}
    _check_patterns("multipliers", multipliers, list(named))
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        exempt = settings.no_decay is not None and (parameter.ndim <= 1 or name.endswith(".bias"))
        groups.setdefault((_multiplier(name, multipliers), exempt), []).append(parameter)
    return [
        {"params": parameters, MULTIPLIER: multiplier, **({"weight_decay": 0.0} if exempt else {})}
        for (multiplier, exempt), parameters in groups.items()
    ]


def freeze(patterns: Sequence[str], network: nn.Module) -> tuple[nn.Module, ...]:
    """Exempt the matching parameters from training and put modules with matching buffers in evaluation mode.

    Returns those modules: normalisation layers, whose running statistics would move in training mode, and others with
    a state. Raises SpecError for a pattern that matches nothing, and if nothing is left to train.
    """
    if not patterns:
        return ()
    outside = _outside(network)
    parameters = {name.removeprefix(outside): parameter for name, parameter in network.named_parameters()}
    buffers = {name.removeprefix(outside): name for name, _ in network.named_buffers()}
    _check_patterns("freeze", patterns, [*parameters, *buffers])
    for name, parameter in parameters.items():
        if _matches(name, patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise SpecError("freeze: the patterns match every parameter, so nothing is left to train; give fewer")
    owners = dict.fromkeys(full.rpartition(".")[0] for name, full in buffers.items() if _matches(name, patterns))
    kept = tuple(network.get_submodule(owner) for owner in owners)
    for module in kept:
        module.training = False
    return kept


def _outside(network: nn.Module) -> str:
    """Return what all names of parameters begin with: the modules in which all of them lie."""
    levels = zip(*(name.split(".")[:-1] for name, _ in network.named_parameters()), strict=False)
    return "".join(f"{level[0]}." for level in takewhile(lambda level: len(set(level)) == 1, levels))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _multiplier(name: str, multipliers: Mapping[str, float]) -> float:
    matching = [pattern for pattern in multipliers if fnmatchcase(name, pattern)]
    return multipliers[min(matching, key=lambda pattern: (-len(pattern), pattern))] if matching else 1.0


def _check_patterns(key: str, patterns: Iterable[str], names: Sequence[str]) -> None:
    """Raise SpecError for a pattern that matches none of the names, with the nearest that would."""
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in names):
            continue
        modules = [f"{module}.*" for module in dict.fromkeys(_modules_above(names))]
        parts = [module for module in modules if module.count(".") == 1] or list(names)
        raise SpecError(
            f"{key}: the pattern {quote(pattern)} matches no parameter of the network."
            f"{nearest(pattern, [*modules, *names])} Its parts are {list_some(parts)}"
        )


def _modules_above(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from accumulate(name.split(".")[:-1], lambda above, below: f"{above}.{below}")
