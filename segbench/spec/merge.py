"""How a mapping of a benchmark file is laid over another one: `extends` and the protocol keys of a method."""

from __future__ import annotations

from .node import Node

# A mapping under one of these keys states one choice among several, so another choice takes its place as a whole.
CHOICES = frozenset({"budget"})

# What a bare name under one of these keys stands for, where that is not a component's `use`.
BARE_NAMES = {"refines": "method"}

# A mapping has at most one of these keys; the other one begins a new mapping, as another component does.
ALTERNATIVES = ("use", "pseudo_labels_from")


def lay_over(base: Node, patch: Node) -> Node:
    """Return `base` changed by `patch`.

    Mappings merge deeply, but a changed `use` or another budget replaces the mapping; lists and scalars replace; null
    removes. A bare name counts as the mapping it stands for, so options can be added to it.
    """
    if isinstance(patch.value, dict) and isinstance(base.value, str):
        base = expanded(base)
    if isinstance(base.value, dict) and isinstance(patch.value, str):
        patch = expanded(patch)
    if not isinstance(base.value, dict) or not isinstance(patch.value, dict) or _uses_another(base.value, patch.value):
        return patch
    return Node(_merged(base.value, patch.value), patch.place)


def expanded(node: Node) -> Node:
    """Return a bare name as the mapping it stands for: `{use: NAME}`, under `refines` `{method: NAME}`."""
    key = BARE_NAMES.get(node.place.path.rpartition(".")[2], "use")
    return Node({key: Node(node.value, node.place)}, node.place)


def _merged(base: dict[str, Node], patch: dict[str, Node]) -> dict[str, Node]:
    entries = dict(base)
    for key, node in patch.items():
        if node.value is None:
            entries.pop(key, None)
        elif key in entries and key not in CHOICES:
            entries[key] = lay_over(entries[key], node)
        else:
            entries[key] = node
    return entries


def _uses_another(base: dict[str, Node], patch: dict[str, Node]) -> bool:
    old, new = ({key for key in ALTERNATIVES if key in entries} for entries in (base, patch))
    return bool(old and new) and (old != new or ("use" in new and base["use"].value != patch["use"].value))
