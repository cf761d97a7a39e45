"""The names that a benchmark file gives to things."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .node import Node, Place

# Names become names of folders, columns of tables and parts of dotted paths.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def check_name(name: str, place: Place) -> None:
    """Raise SpecError if a name could not be the name of a folder."""
    if not _NAME.fullmatch(name):
        raise place.error(f"{name!r} cannot be a name: use letters, digits and . _ + -, a letter or digit first")


def named_entries(node: Node, what: str) -> dict[str, Node]:
    """Return the entries of a mapping from names that the file chooses; SpecError if there are none."""
    entries = node.mapping(f"must be a mapping from the name of each {what} to what it is")
    if not entries:
        raise node.error(f"there is no {what}; a benchmark needs at least one")
    for name, entry in entries.items():
        check_name(name, entry.place)
    return entries
