"""Changes of a benchmark file from the command line: `--set protocol.budget.epochs=3`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import SpecError, nearest

from .merge import CHOICES, expanded
from .node import Node, Place
from .reader import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

# Mappings whose entries the author of the file names; a setting cannot bring new ones into being.
NAMED = ("datasets", "methods")


def apply_settings(root: Node, settings: Sequence[str]) -> Node:
    """Return the file's content changed by settings of the form PATH=VALUE, in their order.

    PATH is dotted, with numbers for list items (`methods.unet.losses.0.weight`); VALUE is YAML 1.2, null meaning "as
    if it were not given". Setting one kind of budget replaces the other. Keys are checked when the file is.
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
        node = expanded(node)
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
    key, rest = _entry_key(entries, keys, place)
    at = place.entry(key)
    old = entries.get(key)
    if old is None or old.value is None or key in CHOICES:
        old = Node({}, at)
    return Node({**entries, key: put(old, rest, value, at)}, node.place)


def _entry_key(entries: dict[str, Node], keys: list[str], place: Place) -> tuple[str, list[str]]:
    """Return the entry that the path goes on to, and what is left of the path; names may hold dots themselves."""
    for length in range(len(keys), 0, -1):
        key = ".".join(keys[:length])
        if key in entries:
            return key, keys[length:]
    if place.path in NAMED:
        raise place.error(f"there is no {keys[0]!r}; there are {', '.join(entries)}.{nearest(keys[0], list(entries))}")
    return keys[0], keys[1:]
