"""How a benchmark file uses a component: its name resolved, its options coerced, by the registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.errors import ComponentError, OptionError, nearest
from segbench.registry.options import coerce_options, options_of
from segbench.registry.requirements import check_requirements

from .merge import expanded
from .node import Node
from .recipe import ComponentUse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.contracts import Kind
    from segbench.registry import Offer, Registry

    from .node import Place

Value = TypeVar("Value")


class Used(NamedTuple):
    """A component that a file uses: the offer, its full name with all options, the entries that are no options.

    `place` is where its name stands.
    """

    offer: Offer
    use: ComponentUse
    settings: Node
    place: Place


def used(kind: Kind, node: Node, registry: Registry, keys: Sequence[str] = ()) -> Used:
    """Resolve a component that is given by its name or as a mapping with `use`, options, and entries under `keys`.

    The settings are the full name under `use` and what stands under `keys`. Raises SpecError.
    """
    entries = _entries(kind, node)
    offer = _offer(kind, entries["use"], registry)
    own = {key: entry for key, entry in entries.items() if key in keys}
    options = _options(offer, node.place, _without(entries, "use", *keys), keys)
    name = Node(offer.full_name, entries["use"].place)
    settings = Node({"use": name, **own}, node.place)
    return Used(offer, ComponentUse(use=offer.full_name, options=options), settings, entries["use"].place)


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


def _options(offer: Offer, place: Place, nodes: Mapping[str, Node], keys: Sequence[str]) -> dict[str, object]:
    given = {name: node.plain() for name, node in nodes.items()}
    try:
        options: dict[str, object] = coerce_options(offer, given)
    except OptionError as error:
        culprit = _culprit(offer, given, str(error))
        message = f"{error}{_beside(offer, culprit, keys)}"
        raise (nodes[culprit].place if culprit else place).error(message) from error
    for name, node in nodes.items():
        options[name] = _resolved(options[name], node.place)
        if offer.kind != "dataset":  # whose folders lie below its root
            options[name] = _resolved_folder(options[name], node.place)
    return options


def _beside(offer: Offer, name: str | None, keys: Sequence[str]) -> str:
    """Return what else a mapping may hold where a name is no option."""
    if not name or not keys or name in [option.name for option in options_of(offer)]:
        return ""
    return f" Beside options there may be {', '.join(keys)}.{nearest(name, list(keys))}"


def _resolved(value: object, place: Place) -> object:
    """Make the path of an existing file absolute; it is relative to the folder of the file it is written in."""
    if not isinstance(value, str) or not Path(value).suffix:
        return value
    path = place.folder / os.path.expanduser(value)
    return str(path.resolve()) if path.is_file() else value


def _resolved_folder(value: object, place: Place) -> object:
    """Make the path of an existing folder absolute if it is written as nothing but a path is: ./name, ~/name."""
    if not isinstance(value, str) or not value.startswith(("./", "../", "~/", "/")):
        return value
    path = place.folder / os.path.expanduser(value)
    return str(path.resolve()) if path.is_dir() else value


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
