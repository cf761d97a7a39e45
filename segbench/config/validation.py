"""Checks of a benchmark file: names, references between them, and the keys and types of its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from segbench.errors import SpecError, alternatives, how_to_write, quoted_choices, unknown_value
from segbench.shown import quote

from .yaml import unknown_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from .yaml import Node, Place


_MOST_MISTAKES = 10  # that are described of one mapping

# Names become names of folders, columns of tables and parts of dotted paths.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def check_name(name: str, place: Place) -> None:
    """Raise SpecError if a name could not be the name of a folder."""
    if not NAME.fullmatch(name):
        raise place.error(f"{quote(name)} cannot be a name: use letters, digits and . _ + -, a letter or digit first")


def read_named_entries(node: Node, what: str) -> dict[str, Node]:
    """Return the entries of a mapping from names that the file chooses; SpecError if there are none."""
    entries = node.mapping(f"must be a mapping from the name of each {what} to what it is")
    if not entries:
        raise node.error(f"there is no {what}; a benchmark needs at least one")
    for name, entry in entries.items():
        check_name(name, entry.place)
    return entries


@dataclass(frozen=True)
class Reference:
    """The name that something refers to, and where it does."""

    to: str
    place: Place


def check_exists(reference: Reference, what: str, known: Iterable[str]) -> None:
    """Raise SpecError with the nearest name if what the reference names does not exist."""
    names = list(known)
    if reference.to not in names:
        missing = f"there is no {what} {quote(reference.to)}.{alternatives(reference.to, names)}"
        raise reference.place.error(missing).among(names)


def sort_by_reference(references: Mapping[str, Iterable[Reference]]) -> list[str]:
    """Return the names so that each comes after those it refers to.

    Raises SpecError for a cycle, which it names with its places.
    """
    graph = {name: [reference.to for reference in to] for name, to in references.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        # graphlib lists each name before the one that refers to it.
        cycle = list(reversed(error.args[1]))
    steps = [reference for name, to in pairwise(cycle) for reference in references[name] if reference.to == to]
    others = "".join(f"\n  {step.place}: {step.to}" for step in steps[1:])
    raise steps[0].place.error(f"cyclic reference: {' -> '.join(cycle)}{others}")


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], node: Node) -> Model:
    """Return the model made of a mapping, without type conversions; null stands for a key's default.

    Raises SpecError with one line for every mistake.
    """
    try:
        return model.model_validate(_without_places(node), strict=True)
    except ValidationError as error:
        raise _join(list(_describe_mistakes(model, node, error.errors()))) from error


def _without_places(node: Node) -> Any:
    """Return the value without places and nulls, lists as the tuples that strict models want."""
    if isinstance(node.value, dict):
        return {key: _without_places(entry) for key, entry in node.value.items() if entry.value is not None}
    if isinstance(node.value, list):
        return tuple(_without_places(item) for item in node.value)
    return node.value


def _join(mistakes: list[SpecError]) -> SpecError:
    """Return the mistakes as one error, which is where the first one is."""
    more = len(mistakes) - _MOST_MISTAKES
    told = [str(one) for one in mistakes[:_MOST_MISTAKES]] + ([f"and {more} more mistakes"] if more > 0 else [])
    error = SpecError("\n".join(told)).among(mistakes[0].allowed)
    error.file, error.line = mistakes[0].file, mistakes[0].line
    return error


def _describe_mistakes(model: type[BaseModel], root: Node, details: list[ErrorDetails]) -> Iterator[SpecError]:
    """Describe what is wrong, in the order of the lines."""
    found = [(*_find(root, detail["loc"]), detail) for detail in details]
    for node, place, detail in sorted(found, key=lambda entry: entry[1].line or 0):
        yield place.error(_describe_mistake(model, node, detail)).among(_allowed(model, detail))


def _allowed(model: type[BaseModel], detail: ErrorDetails) -> list[str]:
    """Return what could stand in place of an unknown key or value."""
    if detail["type"] == "extra_forbidden":
        return list(_find_model(model, detail["loc"][:-1]).model_fields)
    return quoted_choices(detail["ctx"]["expected"]) if detail["type"] == "literal_error" else []


def _describe_mistake(model: type[BaseModel], node: Node, detail: ErrorDetails) -> str:
    location, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return unknown_key(str(location[-1]), list(_find_model(model, location[:-1]).model_fields))
    if kind == "missing":
        return "is missing"
    if kind == "literal_error" and isinstance(node.value, str):
        return unknown_value(node.value, detail["ctx"]["expected"])
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "model_type":
        return (
            f"must be a mapping with keys of {', '.join(_find_model(model, location).model_fields)}, not {node.kind()}"
        )
    if kind == "too_long":
        return f"must have {detail['ctx']['max_length']} items, not {detail['ctx']['actual_length']}"
    return f"{_reword(detail['msg'])}, not {node.kind()}{how_to_write(kind, node.value)}"


def _reword(message: str) -> str:
    return (
        message.replace("Input should be", "must be")
        .replace("a valid boolean", "true or false")
        .replace("a valid tuple", "a list")
    )


def _find(node: Node, location: tuple[int | str, ...]) -> tuple[Node, Place]:
    """Return the deepest value on the way to a location, and the place of the location itself."""
    for depth, step in enumerate(location):
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[str(step)]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            return node, node.place.entry(".".join(map(str, location[depth:])))
    return node, node.place


def _find_model(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    for step in location:
        annotation = model.model_fields[str(step)].annotation
        candidates = (annotation, *get_args(annotation))
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model
