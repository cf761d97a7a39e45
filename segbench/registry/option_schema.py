"""The options of a component as JSON Schema: types from its signature, descriptions from its docstrings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .options import make_adapter, read_docstrings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Option
    from .registry import Offer

_ITEM = re.compile(r"^- ", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.;!?])\s+(?=[A-Z`])")


def option_schemas(offer: Offer, ref_template: str) -> dict[str, dict[str, Any]]:
    """Return for each option the JSON Schema (2020-12) of its type, with its description and default.

    A type of which there is none, such as a class of the plugin's own, may be anything. Raises PluginError where the
    signature breaks the contract.
    """
    texts = read_docstrings(offer.component.build)
    return {option.name: _option_schema(offer, option, texts, ref_template) for option in offer.signature.options}


def _option_schema(offer: Offer, option: Option, texts: Sequence[str], ref_template: str) -> dict[str, Any]:
    from pydantic.errors import PydanticInvalidForJsonSchema
    from pydantic_core import from_json, to_json

    adapter = make_adapter(offer, option)
    try:
        schema = adapter.json_schema(ref_template=ref_template)
    except PydanticInvalidForJsonSchema:
        schema = {}
    if description := find_description(option.name, texts):
        schema["description"] = description
    if not option.required:
        schema["default"] = from_json(to_json(option.default, fallback=str, inf_nan_mode="strings"))
    return schema


def find_description(name: str, docstrings: Sequence[str]) -> str | None:
    """Return what the first docstring that names an option or key says of it: its item of a list, or the sentence.

    >>> find_description("width", ["Build it; `width` is that of all layers. It learns."])
    '`width` is that of all layers.'
    >>> find_description("width", ["Options:\\n\\n- `width`, `depth`: of the\\n  network\\n\\nIt learns."])
    'of the network'
    """
    for text in docstrings:
        pieces = [" ".join(piece.split()) for block in text.split("\n\n") for piece in _ITEM.split(block)]
        said = next(filter(None, (_of_item(name, piece) for piece in pieces)), None)
        said = said or next((one for piece in pieces for one in _SENTENCE.split(piece) if f"`{name}`" in one), None)
        if said:
            return said
    return None


def _of_item(name: str, piece: str) -> str | None:
    """Return what follows the colon of a list's item that begins with the name, alone or among others."""
    head, _, said = piece.partition(": ")
    return said if name in head.replace("`", "").split(", ") else None
