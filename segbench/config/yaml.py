"""Read YAML 1.2 so that every value knows where it is written.

ruamel.yaml reads the syntax; scalars follow the core schema of the specification.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeAlias
from warnings import catch_warnings

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from segbench.errors import SpecError, alternatives
from segbench.files import read_file as read_bytes
from segbench.shown import clean_line, quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ruamel.yaml.nodes import Node as YamlNode


# No real benchmark comes near so many bytes, nor so many values: aliases can make a tiny file enormous.
MOST_BYTES = 1 << 17
MOST_VALUES = 100_000
# Numbers enter records and random generators as such of 64 bits.
LARGEST_INTEGER = 2**63 - 1
_FOR_PROGRAMS = ("!", "yaml-language-server:", "vim:", "-*-")
_STANDARD_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({"str", "int", "float", "bool", "null", "seq", "map", "timestamp", "value", "merge"})

# YAML 1.2.2, section 10.3.2: the core schema.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Opening brackets alone, on which the reader spends a second before it gives up.
_NESTED_TOO_DEEPLY = re.compile(r"([\[{]\s*){100}")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

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
        return clean_line(f"{where}: {self.path}" if self.path else where)

    def entry(self, key: str | int) -> Place:
        """Return the place of one entry of the mapping or list that is here."""
        return replace(self, path=f"{self.path}.{key}" if self.path else str(key))

    def on_line(self, line: int) -> Place:
        """Return this place on another line; what was given on the command line has no lines."""
        return self if self.line is None else replace(self, line=line)

    def error(self, message: str) -> SpecError:
        """Return an error that starts with this place."""
        error = SpecError(f"{self}: {message}")
        if self.line is not None:
            error.file, error.line = self.source, self.line
        return error


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

    def mapping(self, what: str = "must be a mapping") -> dict[str, Node]:
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
        return f"the text {quote(value)}"
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
            raise entry.error(unknown_key(key, known)).among(known)
    return entries


def unknown_key(key: str, known: list[str]) -> str:
    """Return the message for a key that is not among the known ones."""
    return f"unknown key {quote(key)}.{alternatives(key, known)}"


def read_file(path: Path, what: str = "a benchmark file is a mapping that starts with name:") -> Node:
    """Read a YAML file that holds one mapping, as `what` says; SpecError with file and line for whatever is wrong."""
    place = Place(str(path), path.parent, line=1)
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise place.on_line(line).error("this is not UTF-8 text") from error
    except OSError as error:
        raise place.error(f"cannot be read: {error.strerror}") from error
    node = read_text(text, place)
    if node.value is None:
        raise place.error(f"the file is empty; {what}")
    node.mapping(what)
    return node


def read_comment(path: Path) -> str:
    """Return the comment on top of a file that `read_file` reads, as one paragraph; lines for programs are left out."""
    lines = read_bytes(path, MOST_BYTES).decode("utf-8-sig").strip().splitlines()
    comment = [line.strip("# \t") for line in takewhile(lambda line: line.startswith("#"), lines)]
    return " ".join(line for line in comment if line and not line.startswith(_FOR_PROGRAMS))


def read_text(text: str, place: Place) -> Node:
    """Read one YAML value; an empty text is null."""
    if _NESTED_TOO_DEEPLY.search(text):
        raise place.error("nested too deeply")
    try:
        tree = _compose(text)
        return Node(None, place) if tree is None else _Builder().build(tree, place, ())
    except ReusedAnchorWarning as error:
        raise _reused_anchor(error, place) from error
    except MarkedYAMLError as error:
        raise _syntax_error(error, place) from error
    except YAMLError as error:
        raise place.error(f"not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise place.error("nested too deeply") from None


def _compose(text: str) -> YamlNode | None:
    try:
        with catch_warnings(action="error", category=ReusedAnchorWarning):
            tree: YamlNode | None = YAML(typ="safe", pure=True).compose(text)
            return tree
    except (AssertionError, KeyError) as error:  # that is how ruamel.yaml meets a version which it does not know
        raise YAMLError("the %YAML directive names an unknown version; leave that line out") from error


def _reused_anchor(error: ReusedAnchorWarning, place: Place) -> SpecError:
    """Return the error for an anchor that two values have; ruamel.yaml tells where in the text of its warning alone."""
    name = re.search("duplicate anchor (.*)", str(error))
    first, *_, second = re.findall(r"line (\d+), column", str(error))
    what = f"the anchor {name[1] if name else ''}".rstrip()
    return place.on_line(int(second)).error(f"{what} is already on line {first}; give each its own name")


def _syntax_error(error: MarkedYAMLError, place: Place) -> SpecError:
    mark = error.problem_mark or error.context_mark
    context = f" {error.context}" if error.context else ""
    message = f"not valid YAML{context}: {error.problem}"
    if mark is None:
        return place.error(message)
    return place.on_line(mark.line + 1).error(f"{message} (column {mark.column + 1})")


class _Builder:
    """Turns composed YAML into nodes: expands aliases, refuses what could surprise."""

    def __init__(self) -> None:
        self.built = 0

    def build(self, tree: YamlNode, place: Place, parents: tuple[YamlNode, ...]) -> Node:
        self.built += 1
        if self.built > MOST_VALUES:
            raise place.error(f"more than {MOST_VALUES} values; are aliases nested in aliases?")
        if any(tree is parent for parent in parents):
            raise place.error("this alias contains itself")
        _check_tag(tree, place)
        if isinstance(tree, MappingNode):
            return Node(self._mapping(tree, place, (*parents, tree)), place)
        if isinstance(tree, SequenceNode):
            return Node(self._sequence(tree, place, (*parents, tree)), place)
        assert isinstance(tree, ScalarNode)
        return Node(_read_scalar(tree, place), place)

    def _mapping(self, tree: MappingNode, place: Place, parents: tuple[YamlNode, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_tree, value_tree in tree.value:
            key = _read_key(key_tree, place)
            at = place.entry(key).on_line(_line_of(key_tree))
            if key in entries:
                first = entries[key].place.line
                raise at.error(f"duplicate key {quote(key)}" + (f"; it is already on line {first}" if first else ""))
            entries[key] = self.build(value_tree, at, parents)
        return entries

    def _sequence(self, tree: SequenceNode, place: Place, parents: tuple[YamlNode, ...]) -> list[Node]:
        # An alias carries the line of its anchor, which lies before the list.
        lines = (max(_line_of(item), place.line or 0) for item in tree.value)
        places = (place.entry(index).on_line(line) for index, line in enumerate(lines))
        return [self.build(item, at, parents) for item, at in zip(tree.value, places, strict=True)]


def _read_key(tree: YamlNode, place: Place) -> str:
    """Return a key as it is written: 1 and no are the names '1' and 'no'."""
    at = place.on_line(_line_of(tree))
    if not isinstance(tree, ScalarNode):
        raise at.error("a key must be a plain name, not a list or mapping")
    _check_tag(tree, at)
    if tree.value == "<<" and tree.style is None:
        raise at.error("YAML 1.2 has no merge key <<; a method can extend another with extends:")
    return str(tree.value)


def _check_tag(tree: YamlNode, place: Place) -> None:
    tag = str(tree.tag or "")
    if not tag.startswith(_STANDARD_TAG) or tag.removeprefix(_STANDARD_TAG) not in _PLAIN_TAGS:
        raise place.error(f"the tag {tag.replace(_STANDARD_TAG, '!!')} is not supported; write plain values")


def _line_of(tree: YamlNode) -> int:
    return int(tree.start_mark.line) + 1


def _read_scalar(tree: ScalarNode, place: Place) -> Scalar:
    text = str(tree.value)
    if tree.style is not None or tree.tag == f"{_STANDARD_TAG}str":
        return text
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _read_integer(text, place)
    return _read_finite(text, place) if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text) else text


def _read_integer(text: str, place: Place) -> int:
    # Beyond some thousands of digits Python itself refuses.
    with suppress(ValueError):
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if abs(number) <= LARGEST_INTEGER:
            return number
    raise place.error(f"this number has too many digits; whole numbers go up to {LARGEST_INTEGER}")


def _read_finite(text: str, place: Place) -> float:
    number = math.inf if _NOT_FINITE.fullmatch(text) else float(text)
    if not math.isfinite(number):
        raise place.error(f"{quote(text)[1:-1]} is not a finite number")
    return number
