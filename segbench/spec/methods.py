"""Methods of a benchmark file: keys checked, `extends` laid over, references followed, components resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .components import generator_use, weighted_losses
from .merge import lay_over
from .names import named_entries
from .node import Node, check_keys
from .protocol import Protocol
from .recipe import Method
from .references import Reference, check_exists, in_order
from .validate import validated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segbench.registry import Registry

METHOD_KEYS = ("generator", "losses", "protocol", "extends", "start_from")

# Keys whose value is a method that must have run before, with the same seed on the same data.
UPSTREAM_KEYS = ("start_from",)


def read_methods(node: Node, protocol: Node, registry: Registry, only: Sequence[Reference]) -> dict[str, Method]:
    """Return the methods, or of them those named in `only` and what these need, in the order of the file.

    Keys and references of every method are checked; components are resolved for those that are returned, so that a
    missing plugin does not stand in the way of the others. Raises SpecError.
    """
    written = named_entries(node, "method")
    for entry in written.values():
        check_keys(entry, f"must be a mapping with keys of {', '.join(METHOD_KEYS)}", METHOD_KEYS)
    twins = _references(written, ("extends",))
    recipes = _extended(written, twins)
    upstream = _references(recipes, UPSTREAM_KEYS)
    in_order(upstream)
    chosen = _chosen(only, upstream)
    methods = {
        name: _method(name, recipe, twins[name], protocol, registry)
        for name, recipe in recipes.items()
        if name in chosen
    }
    _check_weights_are_kept(methods, upstream)
    return methods


def _check_weights_are_kept(methods: Mapping[str, Method], upstream: Mapping[str, list[Reference]]) -> None:
    for reference in (reference for name in methods for reference in upstream[name]):
        if methods[reference.to].protocol.keep.model == "none":
            raise reference.place.error(
                f"{reference.to!r} leaves no weights to start from, since its protocol says keep: {{model: none}}; "
                "set keep: {model: last} for it"
            )


def _references(methods: Mapping[str, Node], keys: Sequence[str]) -> dict[str, list[Reference]]:
    """Return for each method the methods that it names under these keys; all of them exist."""
    references: dict[str, list[Reference]] = {}
    for name, method in methods.items():
        entries = method.mapping("must be a mapping")
        given = [entries[key] for key in keys if key in entries and entries[key].value is not None]
        references[name] = [Reference(entry.text("must be the name of a method"), entry.place) for entry in given]
        for reference in references[name]:
            check_exists(reference, "method", methods)
    return references


def _extended(written: Mapping[str, Node], twins: Mapping[str, list[Reference]]) -> dict[str, Node]:
    """Return each method laid over the one that it extends, in the order of the file."""
    recipes: dict[str, Node] = {}
    for name in in_order(twins):
        entries = written[name].mapping("must be a mapping")
        own = Node({key: entry for key, entry in entries.items() if key != "extends"}, written[name].place)
        recipes[name] = lay_over(recipes[twins[name][0].to], own) if twins[name] else own
    return {name: recipes[name] for name in written}


def _chosen(only: Sequence[Reference], upstream: Mapping[str, list[Reference]]) -> set[str]:
    for reference in only:
        check_exists(reference, "method", upstream)
    waiting = [reference.to for reference in only] or list(upstream)
    chosen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += [reference.to for reference in upstream[name]]
    return chosen


def _method(name: str, recipe: Node, twin: list[Reference], protocol: Node, registry: Registry) -> Method:
    entries = {key: entry for key, entry in recipe.mapping("must be a mapping").items() if entry.value is not None}
    for key in ("generator", "losses"):
        if key not in entries:
            raise recipe.place.entry(key).error("is missing; every method needs a generator and losses")
    common = validated(Protocol, protocol)
    own = validated(Protocol, lay_over(protocol, entries["protocol"])) if "protocol" in entries else common
    return Method(
        name=name,
        generator=generator_use(entries["generator"], registry),
        losses=weighted_losses(entries["losses"], registry),
        protocol=own,
        twin=twin[0].to if twin else None,
        overrides=tuple(differing(common.model_dump(), own.model_dump())),
        start_from=str(entries["start_from"].value) if "start_from" in entries else None,
    )


def differing(first: Any, second: Any, path: str = "") -> list[str]:
    """Return the dotted paths at which two nested mappings differ.

    >>> differing({"optimizer": {"lr": 0.1, "use": "sgd"}}, {"optimizer": {"lr": 0.2, "use": "sgd"}, "ema": 0.9})
    ['optimizer.lr', 'ema']
    """
    if not isinstance(first, dict) or not isinstance(second, dict):
        return [] if first == second else [path]
    paths: list[str] = []
    for key in dict.fromkeys([*first, *second]):
        paths += differing(first.get(key), second.get(key), f"{path}.{key}" if path else key)
    return paths
