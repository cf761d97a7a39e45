"""A value of a benchmark file that knows where it was written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from segbench.errors import SpecError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Scalar: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True)
class Place:
    """Where a value was written: file (or command line option) and line, dotted path, and the folder of relative paths.

    >>> from pathlib import Path
    >>> str(Place("camvid.yaml", Path("."), 7).entry("protocol").entry("crop"))
    'camvid.yaml:7: protocol.crop'
    """

    source: str
    folder: Path
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.path}" if self.path else where

    def entry(self, key: str | int) -> Place:
        """Return the place of one entry of the mapping or list that is here."""
        return replace(self, path=f"{self.path}.{key}" if self.path else str(key))

    def on_line(self, line: int) -> Place:
        """Return this place on another line; what was given on the command line has no lines."""
        return self if self.line is None else replace(self, line=line)

    def error(self, message: str) -> SpecError:
        """Return an error that starts with this place."""
        return SpecError(f"{self}: {message}")


@dataclass(frozen=True)
class Node:
    """A scalar, list or mapping, and where it was written.

    An entry of a mapping stands where its key stands, since that is the line a reader looks for.
    """

    value: Scalar | list[Node] | dict[str, Node]
    place: Place

    def error(self, message: str) -> SpecError:
        """Return an error that starts with this value's place."""
        return self.place.error(message)

    def mapping(self, what: str) -> dict[str, Node]:
        """Return the entries by key; SpecError if this is no mapping."""
        if not isinstance(self.value, dict):
            raise self.error(f"{what}, not {self.kind()}")
        return self.value

    def sequence(self, what: str) -> list[Node]:
        """Return the items; SpecError if this is no list."""
        if not isinstance(self.value, list):
            raise self.error(f"{what}, not {self.kind()}")
        return self.value

    def text(self, what: str) -> str:
        """Return the text; SpecError if this is none."""
        if not isinstance(self.value, str):
            raise self.error(f"{what}, not {self.kind()}")
        return self.value

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def kind(self) -> str:
        """Return how messages name this value."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return describe(self.value)


def describe(value: Scalar) -> str:
    """Return how messages name a scalar.

    >>> describe("no"), describe(1e-3), describe(True), describe(None)
    ("the text 'no'", 'the number 0.001', 'true', 'null')
    """
    if isinstance(value, str):
        return f"the text {value!r}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"the number {value}"


def check_keys(node: Node, what: str, allowed: Iterable[str]) -> dict[str, Node]:
    """Return the entries of a mapping that has none but the allowed keys; otherwise SpecError with the nearest."""
    entries = node.mapping(what)
    known = list(allowed)
    for key, entry in entries.items():
        if key not in known:
            raise entry.error(unknown_key(key, known))
    return entries


def unknown_key(key: str, known: list[str]) -> str:
    """Return the message for a key that is not among the known ones."""
    return f"unknown key {key!r}; allowed here: {', '.join(known)}.{nearest(key, known)}"
