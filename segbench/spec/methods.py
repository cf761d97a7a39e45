"""Methods of a benchmark file, resolved: components found, options coerced, what does not fit together refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .adversarial import adversarial_use
from .components import discriminator_use, generator_use, weighted_losses
from .fit import check_fit
from .merge import lay_over
from .protocol_node import read_protocol
from .recipe import Method
from .references import check_exists
from .training_data import label_fractions, refines, trains_on, unlabelled_term
from .upstream import check_upstream
from .written import upstream_references

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.registry import Registry

    from .node import Node
    from .references import Reference
    from .written import Written


def resolved_methods(
    written: Mapping[str, Written], protocol: Node, registry: Registry, only: Sequence[Reference]
) -> dict[str, Method]:
    """Return the methods, or of them those named in `only` and what these need, in the order of the file.

    References of every method are checked; components are resolved for those that are returned, so that a missing
    plugin does not stand in the way of the others. Raises SpecError.
    """
    upstream = upstream_references(written)
    chosen = _chosen(only, upstream)
    methods = {
        name: resolved_method(name, method, protocol, registry) for name, method in written.items() if name in chosen
    }
    check_upstream(methods, upstream)
    return methods


def _chosen(only: Sequence[Reference], upstream: Mapping[str, Mapping[str, Reference]]) -> set[str]:
    for reference in only:
        check_exists(reference, "method", upstream)
    waiting = [reference.to for reference in only] or list(upstream)
    chosen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += [reference.to for reference in upstream[name].values()]
    return chosen


def resolved_method(name: str, written: Written, protocol: Node, registry: Registry) -> Method:
    """Return one method, its components found and its options coerced, under the protocol laid over the common one."""
    entries, place = written.entries, written.recipe.place
    if "generator" not in entries:
        raise place.entry("generator").error("is missing; every method needs a generator")
    common = read_protocol(protocol)
    own = read_protocol(lay_over(protocol, entries["protocol"])) if "protocol" in entries else common
    generator, maps = generator_use(entries["generator"], registry)
    method = Method(
        name=name,
        generator=generator,
        maps=maps,
        protocol=own,
        twin=written.twin,
        against=written.against,
        placebo_of=written.placebo_of,
        overrides=tuple(differing(common.model_dump(), own.model_dump())),
        **_given(entries, registry),
    )
    check_fit(method, entries, place)
    return method


def _given(entries: Mapping[str, Node], registry: Registry) -> dict[str, Any]:
    """Return the fields of a recipe that may be left out, where they are not."""
    readers: dict[str, Callable[[Node], Any]] = {
        "losses": lambda node: weighted_losses(node, registry),
        "discriminator": lambda node: discriminator_use(node, registry),
        "adversarial": lambda node: adversarial_use(node, registry),
        "noise_channels": _noise_channels,
        "start_from": lambda node: node.value,
        "refines": refines,
        "trains_on": trains_on,
        "labels": label_fractions,
        "unlabelled": lambda node: unlabelled_term(node, registry),
    }
    return {key: read(entries[key]) for key, read in readers.items() if key in entries}


def _noise_channels(node: Node) -> int:
    if not isinstance(node.value, int) or isinstance(node.value, bool) or node.value < 1:
        raise node.error(f"must be a whole number of at least 1, not {node.kind()}")
    return node.value


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
