"""JSON Schema of draft 7, which editors of YAML read, from the newer drafts that pydantic writes."""

from __future__ import annotations

from typing import Any

# What stands under these keywords is a schema, a list of schemas, or a mapping from names to schemas.
_SCHEMA = ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else")
_SCHEMAS = ("anyOf", "allOf", "oneOf")
_NAMED_SCHEMAS = ("properties", "definitions")


def to_draft_7(schema: Any) -> Any:
    """Return a schema in draft 7, without titles and defaults of null; every key of a mapping may be null.

    In benchmark files null is as if the key were not there.
    """
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "prefixItems":
            made |= {"items": [to_draft_7(item) for item in value], "additionalItems": False}
        elif keyword in _SCHEMA:
            made[keyword] = to_draft_7(value)
        elif keyword in _SCHEMAS:
            made[keyword] = [to_draft_7(item) for item in value]
        elif keyword in _NAMED_SCHEMAS:
            made[keyword] = {name: or_null(to_draft_7(item)) for name, item in value.items()}
        elif keyword == "default" and value is not None:
            made[keyword] = _without_nulls(value)
        elif keyword not in ("title", "default"):
            made[keyword] = value
    if "$ref" in made and len(made) > 1:  # beside it draft 7 ignores everything
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of draft 7 that also takes null."""
    if "type" in schema and not schema.keys() & {"enum", "const", *_SCHEMAS}:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return schema if "null" in types else {**schema, "type": [*types, "null"]}
    said: dict[str, Any] = {keyword: schema[keyword] for keyword in ("description", "default") if keyword in schema}
    what = {keyword: value for keyword, value in schema.items() if keyword not in said}
    if not what:
        return schema
    choices = what["anyOf"] if [*what] == ["anyOf"] else [what]
    null = {"type": "null"}
    return {**said, "anyOf": choices if null in choices else [*choices, null]}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    return value


def referenced(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return those of the definitions that a schema refers to, and that these refer to."""
    found: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
    return dict(sorted(found.items()))
