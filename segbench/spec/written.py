"""Methods as the file writes them: keys checked, `extends` laid over, references to other methods found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .merge import expanded, lay_over
from .names import named_entries
from .node import Node, check_keys
from .references import Reference, check_exists, in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METHOD_KEYS = (
    "generator",
    "losses",
    "discriminator",
    "adversarial",
    "noise_channels",
    "protocol",
    "extends",
    "start_from",
    "refines",
    "trains_on",
    "labels",
    "unlabelled",
    "tune",
)

# Where a recipe names a method that must have run before with the same seed on the same data, by the reason.
UPSTREAM_PATHS = {
    "start_from": ("start_from",),
    "refines": ("refines", "method"),
    "trains_on": ("trains_on", "synthetic"),
    "pseudo_labels_from": ("unlabelled", "pseudo_labels_from"),
    "budget": ("protocol", "budget", "like"),
}


class Written(NamedTuple):
    """A method with all that it inherits, the method that it extends, and the one whose placebo it is.

    `against` are the methods beside its twin that claims compare it with.
    """

    recipe: Node
    twin: str | None = None
    placebo_of: str | None = None
    against: tuple[str, ...] = ()

    @property
    def entries(self) -> dict[str, Node]:
        """The keys that are given; null is as if a key were not there."""
        recipe = self.recipe.mapping("must be a mapping")
        return {key: entry for key, entry in recipe.items() if entry.value is not None}


def written_methods(node: Node) -> dict[str, Written]:
    """Return the methods in the order of the file; SpecError for an unknown key and what extends itself or nothing."""
    own = named_entries(node, "method")
    for entry in own.values():
        check_keys(entry, f"must be a mapping with keys of {', '.join(METHOD_KEYS)}", METHOD_KEYS)
    twins = {name: _twin(entry, own) for name, entry in own.items()}
    recipes: dict[str, Node] = {}
    for name in in_order(twins):
        entries = own[name].mapping("must be a mapping")
        patch = Node({key: entry for key, entry in entries.items() if key != "extends"}, own[name].place)
        recipes[name] = lay_over(recipes[twins[name][0].to], patch) if twins[name] else patch
    return {name: Written(recipes[name], twins[name][0].to if twins[name] else None) for name in own}


def upstream_references(methods: Mapping[str, Written]) -> dict[str, dict[str, Reference]]:
    """Return for each method the methods that it needs, by the reason; all of them exist and none needs itself."""
    references = {name: dict(_upstream(method)) for name, method in methods.items()}
    for reference in (reference for upstream in references.values() for reference in upstream.values()):
        check_exists(reference, "method", methods)
    in_order({name: upstream.values() for name, upstream in references.items()})
    return references


def _twin(method: Node, known: Mapping[str, Node]) -> list[Reference]:
    """Return what the method extends: one or none."""
    entries = method.mapping("must be a mapping")
    if "extends" not in entries or entries["extends"].value is None:
        return []
    reference = _reference(entries["extends"])
    check_exists(reference, "method", known)
    return [reference]


def _upstream(method: Written) -> Iterator[tuple[str, Reference]]:
    for reason, path in UPSTREAM_PATHS.items():
        name = _at(method.recipe, path)
        if name is not None and name.value is not None:
            yield reason, _reference(name)


def _at(node: Node, path: tuple[str, ...]) -> Node | None:
    """Return the entry on a path, None if there is none: what is missing is told where the key is read."""
    for key in path:
        node = expanded(node) if isinstance(node.value, str) else node
        if not isinstance(node.value, dict) or key not in node.value:
            return None
        node = node.value[key]
    return node


def _reference(node: Node) -> Reference:
    return Reference(node.text("must be the name of a method"), node.place)
