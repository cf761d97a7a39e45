"""Methods as a benchmark file writes them, and how they are changed: by `--set`, `extends` and their protocol keys.

A change is a mapping that is laid over another one (`lay_over`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import SpecError, alternatives

from .attribution import ATTRIBUTION_KEYS
from .recipe import FORMER_KEYS
from .validation import Reference, check_exists, read_named_entries, sort_by_reference
from .yaml import Node, Place, check_keys, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


# Mappings whose entries the author of the file names; a setting cannot add entries to them.
NAMED_MAPPINGS = ("datasets", "methods")


def apply_settings(root: Node, settings: Sequence[str]) -> Node:
    """Return the file's content changed by settings of the form PATH=VALUE, in their order.

    PATH is dotted, with numbers for list items (`methods.unet.losses.0.weight`); VALUE is YAML 1.2, null meaning "as
    if it were not given". Setting one kind of budget or resize replaces the other. Keys are checked when the file is.
    """
    for setting in settings:
        root = _apply(root, setting)
    return root


def _apply(root: Node, setting: str) -> Node:
    path, equals, text = setting.partition("=")
    top = Place(f"--set {setting}", Path.cwd())
    keys = path.strip().split(".")
    if not equals or "" in keys:
        raise SpecError(f"--set {setting}: write PATH=VALUE, such as protocol.budget.epochs=3")
    place = top
    for key in keys:
        place = place.entry(key)
    return put(root, keys, read_text(text, place), top)


def put(node: Node, keys: list[str], value: Node, place: Place) -> Node:
    """Return the content changed so that `value` stands at the path `keys`; `place` is where the path begins."""
    if not keys:
        return value
    if isinstance(node.value, list):
        return _put_item(node, node.value, keys, value, place)
    if isinstance(node.value, str):
        node = expand_name(node)
    if not isinstance(node.value, dict):
        raise place.error(f"is {node.kind()} and has no {keys[0]!r}")
    return _put_entry(node, node.value, keys, value, place)


def _put_item(node: Node, items: list[Node], keys: list[str], value: Node, place: Place) -> Node:
    if not (keys[0].isascii() and keys[0].isdigit() and int(keys[0]) < len(items)):
        raise place.error(f"is a list of {len(items)}; give the number of an item, from 0, not {keys[0]!r}")
    index = int(keys[0])
    changed = put(items[index], keys[1:], value, place.entry(index))
    return Node([*items[:index], changed, *items[index + 1 :]], node.place)


def _put_entry(node: Node, entries: dict[str, Node], keys: list[str], value: Node, place: Place) -> Node:
    key, rest = _split_path(entries, keys, place)
    at = place.entry(key)
    old = entries.get(key)
    if old is None or old.value is None or key in ONE_OF_SEVERAL:
        old = Node({}, at)
    return Node({**entries, key: put(old, rest, value, at)}, node.place)


def _split_path(entries: dict[str, Node], keys: list[str], place: Place) -> tuple[str, list[str]]:
    """Return the entry that the path goes on to, and what is left of the path; names may hold dots themselves."""
    for length in range(len(keys), 0, -1):
        key = ".".join(keys[:length])
        if key in entries:
            return key, keys[length:]
    if place.path in NAMED_MAPPINGS:
        raise place.error(f"there is no {keys[0]!r}.{alternatives(keys[0], entries)}").among(entries)
    return keys[0], keys[1:]


METHOD_KEYS = (
    "generator",
    "losses",
    "discriminator",
    "adversarial",
    "latent_channels",
    "protocol",
    "extends",
    "start_from",
    "refines",
    "trains_on",
    "labels",
    "unlabelled",
    "tune",
    *ATTRIBUTION_KEYS,
)

# Where a recipe names a method that must have run before with the same seed on the same data, by the reason.
UPSTREAM_PATHS = {
    "start_from": ("start_from",),
    "refines": ("refines", "method"),
    "trains_on": ("trains_on", "synthetic"),
    "pseudo_labels_from": ("unlabelled", "pseudo_labels_from"),
    "budget": ("protocol", "budget", "like"),
    "weight": ("adversarial", "weight", "like"),
}


class MethodEntry(NamedTuple):
    """A method with all that it inherits, the method that it extends, and the one whose placebo it is.

    `against` are the methods beside its twin that claims compare it with; `dose_of` is the method that this one is at
    another dose.
    """

    recipe: Node
    twin: str | None = None
    placebo_of: str | None = None
    against: tuple[str, ...] = ()
    dose_of: str | None = None

    @property
    def entries(self) -> dict[str, Node]:
        """The keys that are given; null is as if a key were not there."""
        recipe = self.recipe.mapping()
        return {key: entry for key, entry in recipe.items() if entry.value is not None}


def rename_former_keys(methods: Node) -> tuple[Node, tuple[str, ...]]:
    """Return the methods with the present names of their keys, and a notice for each former name that they use.

    Raises SpecError where a method has a key under both names.
    """
    entries = read_named_entries(methods, "method")
    notices = []
    for key, former in FORMER_KEYS.items():
        mappings = [method.value for method in entries.values() if isinstance(method.value, dict)]
        if places := ", ".join(str(mapping[former].place) for mapping in mappings if former in mapping):
            notices.append(f"{places}: {former} is now called {key}; the former name is still read, please rename it")
        entries = {name: _rename_key(method, former, key) for name, method in entries.items()}
    return Node(entries, methods.place), tuple(notices)


def _rename_key(method: Node, former: str, key: str) -> Node:
    if not isinstance(method.value, dict) or former not in method.value:
        return method
    if key in method.value:
        raise method.value[former].error(f"this is the former name of {key}, which is given too; remove one of them")
    return Node({key if name == former else name: entry for name, entry in method.value.items()}, method.place)


def read_methods(node: Node) -> dict[str, MethodEntry]:
    """Return the methods in the order of the file.

    Raises SpecError for an unknown key, and for a method that extends itself or one that does not exist.
    """
    own = read_named_entries(node, "method")
    for entry in own.values():
        check_keys(entry, f"must be a mapping with keys of {', '.join(METHOD_KEYS)}", METHOD_KEYS)
    twins = {name: _find_twin(entry, own) for name, entry in own.items()}
    recipes: dict[str, Node] = {}
    for name in sort_by_reference(twins):
        entries = own[name].mapping()
        patch = Node({key: entry for key, entry in entries.items() if key != "extends"}, own[name].place)
        recipes[name] = lay_over(_without_attribution(recipes[twins[name][0].to]), patch) if twins[name] else patch
    return {name: MethodEntry(recipes[name], twins[name][0].to if twins[name] else None) for name in own}


def _without_attribution(recipe: Node) -> Node:
    """Return what another method inherits of a recipe: who made one did not make what extends it."""
    entries = {key: entry for key, entry in recipe.mapping().items() if key not in ATTRIBUTION_KEYS}
    return Node(entries, recipe.place)


def upstream_references(methods: Mapping[str, MethodEntry]) -> dict[str, dict[str, Reference]]:
    """Return for each method the methods that it needs, by the reason; all of them exist and none needs itself."""
    references = {name: dict(_find_upstream(method)) for name, method in methods.items()}
    for reference in (reference for upstream in references.values() for reference in upstream.values()):
        check_exists(reference, "method", methods)
    sort_by_reference({name: upstream.values() for name, upstream in references.items()})
    return references


def _find_twin(method: Node, known: Mapping[str, Node]) -> list[Reference]:
    """Return the method that this one extends, as a list of one or none."""
    entries = method.mapping()
    if "extends" not in entries or entries["extends"].value is None:
        return []
    reference = _read_reference(entries["extends"])
    check_exists(reference, "method", known)
    return [reference]


def _find_upstream(method: MethodEntry) -> Iterator[tuple[str, Reference]]:
    for reason, path in UPSTREAM_PATHS.items():
        name = _find_entry(method.recipe, path)
        if name is not None and name.value is not None:
            yield reason, _read_reference(name)


def _find_entry(node: Node, path: tuple[str, ...]) -> Node | None:
    """Return the entry on a path, None if there is none: what is missing is reported where the key is read."""
    for key in path:
        node = expand_name(node) if isinstance(node.value, str) else node
        if not isinstance(node.value, dict) or key not in node.value:
            return None
        node = node.value[key]
    return node


def _read_reference(node: Node) -> Reference:
    return Reference(node.text("must be the name of a method"), node.place)


# A mapping under one of these keys states one choice among several, so another choice takes its place as a whole.
ONE_OF_SEVERAL = frozenset({"budget", "resize", "weight"})

# What a bare name under one of these keys stands for, where that is not a component's `use`.
BARE_NAMES = {"refines": "method"}

# A mapping has at most one of these keys; the other one begins a new mapping, as another component does.
ALTERNATIVES = ("use", "pseudo_labels_from")


def lay_over(base: Node, patch: Node) -> Node:
    """Return `base` changed by `patch`.

    Mappings merge deeply, but a changed `use`, another budget, size or weight replaces the mapping; lists and scalars
    replace; null removes. A bare name counts as the mapping it stands for, so options can be added to it.
    """
    if isinstance(patch.value, dict) and isinstance(base.value, str):
        base = expand_name(base)
    if isinstance(base.value, dict) and isinstance(patch.value, str):
        patch = expand_name(patch)
    if not isinstance(base.value, dict) or not isinstance(patch.value, dict) or _uses_another(base.value, patch.value):
        return patch
    return Node(_merge(base.value, patch.value), patch.place)


def expand_name(node: Node) -> Node:
    """Return a bare name as the mapping it stands for: `{use: NAME}`, under `refines` `{method: NAME}`."""
    key = BARE_NAMES.get(node.place.path.rpartition(".")[2], "use")
    return Node({key: Node(node.value, node.place)}, node.place)


def _merge(base: dict[str, Node], patch: dict[str, Node]) -> dict[str, Node]:
    entries = dict(base)
    for key, node in patch.items():
        if node.value is None:
            entries.pop(key, None)
        elif key in entries and key not in ONE_OF_SEVERAL:
            entries[key] = lay_over(entries[key], node)
        else:
            entries[key] = node
    return entries


def _uses_another(base: dict[str, Node], patch: dict[str, Node]) -> bool:
    old, new = ({key for key in ALTERNATIVES if key in entries} for entries in (base, patch))
    return bool(old and new) and (old != new or ("use" in new and base["use"].value != patch["use"].value))
