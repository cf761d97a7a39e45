"""Components of a benchmark file: names resolved, options coerced, by the registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from segbench.errors import ComponentError, OptionError
from segbench.registry.datasets import dataset_root
from segbench.registry.options import coerce_options
from segbench.registry.requirements import check_requirements

from .merge import expanded
from .recipe import ComponentUse, DatasetUse, WeightedLoss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.contracts import Kind
    from segbench.registry import Offer, Registry

    from .node import Node, Place

Value = TypeVar("Value")

# What the engine can train today.
TRAINED_MAPS = ("image -> labels",)
LOSS_ROLES = ("supervised",)


def generator_use(node: Node, registry: Registry) -> ComponentUse:
    """Resolve a method's generator; SpecError if it maps what no method can be trained for."""
    entries = _entries("generator", node)
    offer = _offer("generator", entries["use"], registry)
    maps = offer.component.maps
    if maps not in TRAINED_MAPS:
        raise entries["use"].error(
            f"generator {offer.full_name} maps {maps!r}; a method can train those that map {_listed(TRAINED_MAPS)}"
        )
    return ComponentUse(use=offer.full_name, options=_options(offer, node.place, _without(entries, "use")))


def weighted_losses(node: Node, registry: Registry) -> tuple[WeightedLoss, ...]:
    """Resolve a method's losses: a list of at least one."""
    items = node.sequence("must be a list of losses, such as [losses/cross_entropy]")
    if not items:
        raise node.error("must name at least one loss")
    return tuple(_weighted_loss(item, registry) for item in items)


def dataset_use(node: Node, registry: Registry) -> DatasetUse:
    """Resolve a dataset; a relative root is relative to the folder of the file (or command line) it is written in."""
    entries = _entries("dataset", node)
    offer = _offer("dataset", entries["use"], registry)
    options = _options(offer, node.place, _without(entries, "use", "root"))
    root = entries.get("root")
    if root is None or root.value is None:
        return DatasetUse(use=offer.full_name, options=options)
    return DatasetUse(use=offer.full_name, options=options, root=_root(offer, root))


def _weighted_loss(node: Node, registry: Registry) -> WeightedLoss:
    entries = _entries("loss", node)
    offer = _offer("loss", entries["use"], registry)
    role = offer.component.role
    if role not in LOSS_ROLES:
        raise entries["use"].error(
            f"loss {offer.full_name} has the role {role!r}; under losses: stand those with {_listed(LOSS_ROLES)}"
        )
    options = _options(offer, node.place, _without(entries, "use", "weight"))
    return WeightedLoss(use=offer.full_name, options=options, weight=_weight(entries.get("weight")))


def _weight(node: Node | None) -> float:
    if node is None:
        return 1.0
    if isinstance(node.value, bool) or not isinstance(node.value, int | float) or node.value <= 0:
        raise node.error(f"must be a number greater than 0, not {node.kind()}")
    return float(node.value)


def _root(offer: Offer, node: Node) -> str:
    text = node.text("must be the path of a folder")
    try:
        dataset_root(offer, text)
        return str((node.place.folder / Path(text).expanduser()).resolve())
    except OptionError as error:
        raise node.error(str(error)) from error
    except RuntimeError as error:  # ~nobody
        raise node.error(f"{text!r}: {error}") from error


def _entries(kind: Kind, node: Node) -> dict[str, Node]:
    if isinstance(node.value, str):
        node = expanded(node)
    entries = node.mapping(f"must be the name of a {kind}, or {{use: NAME, option: value}}")
    if "use" not in entries:
        raise node.error(f"must name its {kind}: {{use: NAME, option: value}}")
    entries["use"].text(f"must be the name of a {kind}")
    return entries


def _offer(kind: Kind, node: Node, registry: Registry) -> Offer:
    try:
        offer = registry.find(kind, str(node.value))
        check_requirements(offer)
    except ComponentError as error:
        raise node.error(str(error)) from error
    return offer


def _options(offer: Offer, place: Place, nodes: Mapping[str, Node]) -> dict[str, object]:
    given = {name: node.plain() for name, node in nodes.items()}
    try:
        options = coerce_options(offer, given)
    except OptionError as error:
        culprit = _culprit(offer, given, str(error))
        raise (nodes[culprit].place if culprit else place).error(str(error)) from error
    return {name: _resolved(value, nodes[name].place) if name in nodes else value for name, value in options.items()}


def _resolved(value: object, place: Place) -> object:
    """Make the path of an existing file absolute; it is relative to the folder of the file it is written in."""
    if not isinstance(value, str) or not Path(value).suffix:
        return value
    path = place.folder / os.path.expanduser(value)
    return str(path.resolve()) if path.is_file() else value


def _culprit(offer: Offer, given: dict[str, object], message: str) -> str | None:
    """Return the option without which the registry would not say this; None if an option is missing."""
    return next((name for name in given if _refusal(offer, _without(given, name)) != message), None)


def _refusal(offer: Offer, given: Mapping[str, object]) -> str:
    try:
        coerce_options(offer, given)
    except OptionError as error:
        return str(error)
    return ""


def _without(mapping: Mapping[str, Value], *names: str) -> dict[str, Value]:
    return {name: value for name, value in mapping.items() if name not in names}


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)
