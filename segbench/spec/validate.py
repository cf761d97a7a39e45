"""pydantic checks a part of a benchmark file; what it finds is said with place, allowed keys and nearest name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from segbench.errors import SpecError

from .node import unknown_key

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from .node import Node, Place

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], node: Node) -> Model:
    """Return the model made of a mapping, without type conversions; null stands for a key's default.

    Raises SpecError with one line for every mistake.
    """
    try:
        return model.model_validate(_given(node), strict=True)
    except ValidationError as error:
        raise SpecError("\n".join(_mistakes(model, node, error.errors()))) from error


def _given(node: Node) -> Any:
    """Return the value without places and nulls, lists as the tuples that strict models want."""
    if isinstance(node.value, dict):
        return {key: _given(entry) for key, entry in node.value.items() if entry.value is not None}
    if isinstance(node.value, list):
        return tuple(_given(item) for item in node.value)
    return node.value


def _mistakes(model: type[BaseModel], root: Node, details: list[ErrorDetails]) -> list[str]:
    """Return what is wrong in the order of the lines."""
    found = [(*_find(root, detail["loc"]), detail) for detail in details]
    found.sort(key=lambda entry: entry[1].line or 0)
    return [str(place.error(_message(model, node, detail))) for node, place, detail in found]


def _message(model: type[BaseModel], node: Node, detail: ErrorDetails) -> str:
    location, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return unknown_key(str(location[-1]), list(_model_at(model, location[:-1]).model_fields))
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "model_type":
        return f"must be a mapping with keys of {', '.join(_model_at(model, location).model_fields)}, not {node.kind()}"
    if kind == "too_long":
        return f"must have {detail['ctx']['max_length']} items, not {detail['ctx']['actual_length']}"
    return f"{_requirement(detail['msg'])}, not {node.kind()}"


def _requirement(message: str) -> str:
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


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    for step in location:
        annotation = model.model_fields[str(step)].annotation
        candidates = (annotation, *get_args(annotation))
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model
