"""The keys of a recipe that say what it is trained on: labels, unlabelled images, other methods' output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .components import loss_of_role
from .merge import expanded
from .node import Node, check_keys
from .recipe import Refines, TrainsOn, UnlabelledTerm
from .validate import validated

if TYPE_CHECKING:
    from segbench.registry import Registry

PSEUDO_LABEL_KEYS = ("pseudo_labels_from", "threshold", "weight")


def refines(node: Node) -> Refines:
    """Read `METHOD` or `{method: METHOD, folds: 5}`."""
    return validated(Refines, expanded(node) if isinstance(node.value, str) else node)


def trains_on(node: Node) -> TrainsOn:
    """Read `{synthetic: METHOD, share: 0.5}`."""
    return validated(TrainsOn, node)


def label_fractions(node: Node) -> tuple[float, ...]:
    """Read `{fraction: 0.125}` or `{fraction: [0.125, 1]}`: shares of the training labels, each once."""
    entries = check_keys(node, "must be a mapping such as {fraction: 0.125}", ("fraction",))
    if "fraction" not in entries:
        raise node.error("must say which fraction of the labels: {fraction: 0.125}, or several: {fraction: [0.125, 1]}")
    given = entries["fraction"]
    items = given.value if isinstance(given.value, list) else [given]
    if not items:
        raise given.error("there is no fraction; give at least one, such as [0.125, 1]")
    fractions = [_fraction(item) for item in items]
    for index, item in enumerate(items):
        if fractions[index] in fractions[:index]:
            raise item.error(f"the fraction {item.value} is there twice")
    return tuple(fractions)


def unlabelled_term(node: Node, registry: Registry) -> UnlabelledTerm:
    """Read a loss with its options and weight, or `{pseudo_labels_from: METHOD, threshold: 0.9, weight: 1}`."""
    written = (expanded(node) if isinstance(node.value, str) else node).mapping(
        "must be the name of a loss, {use: LOSS, option: value} or {pseudo_labels_from: METHOD}"
    )
    entries = {key: entry for key, entry in written.items() if entry.value is not None}
    if ("use" in entries) == ("pseudo_labels_from" in entries):
        raise node.error("must have either use: LOSS or pseudo_labels_from: METHOD")
    if "pseudo_labels_from" in entries:
        given = Node(entries, node.place)
        check_keys(given, "must be a mapping", PSEUDO_LABEL_KEYS)
        return validated(UnlabelledTerm, given)
    loss = loss_of_role("unlabelled", "unlabelled", node, registry, ("weight",))
    settings = {key: entry for key, entry in loss.settings.mapping("must be a mapping").items() if key != "use"}
    return validated(UnlabelledTerm, Node(settings, node.place)).model_copy(update={"loss": loss.use})


def _fraction(node: Node) -> float:
    fraction = node.value
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise node.error(f"must be a number greater than 0 and at most 1, not {node.kind()}")
    return float(fraction)
