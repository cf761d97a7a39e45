from __future__ import annotations

from jsonschema import Draft7Validator
from pydantic import TypeAdapter

from segbench.config.draft7 import or_null, referenced, to_draft_7


def takes(schema, value):
    return Draft7Validator(schema).is_valid(value)


def test_a_tuple_has_its_length_and_the_types_of_its_items():
    schema = to_draft_7(TypeAdapter(tuple[int, str]).json_schema())
    assert takes(schema, [1, "a"])
    assert not any(takes(schema, value) for value in ([1], ["a", 1], [1, "a", 2]))


def test_what_stands_beside_a_reference_counts():
    schema = to_draft_7({"$ref": "#/definitions/a", "description": "said", "default": 3})
    assert schema == {"allOf": [{"$ref": "#/definitions/a"}], "description": "said", "default": 3}


def test_every_key_may_be_null_and_titles_are_gone():
    schema = to_draft_7({"title": "T", "type": "object", "properties": {"title": {"type": "integer", "title": "x"}}})
    assert schema == {"type": "object", "properties": {"title": {"type": ["integer", "null"]}}}


def test_null_is_added_to_whatever_a_schema_takes():
    for schema, value in [
        ({"type": "integer"}, 1),
        ({"enum": ["a"], "type": "string"}, "a"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"allOf": [{"type": "integer"}], "description": "said"}, 1),
        ({}, 1),
    ]:
        assert takes(or_null(schema), None)
        assert takes(or_null(schema), value)
        assert not schema or not takes(or_null(schema), "b")
        assert or_null(or_null(schema)) == or_null(schema)


def test_a_default_of_null_and_nulls_within_one_are_left_out():
    assert to_draft_7({"default": None}) == {}
    assert to_draft_7({"default": {"a": None, "b": 1}}) == {"default": {"b": 1}}


def test_only_definitions_that_are_referred_to_remain():
    definitions = {
        name: {"items": {"$ref": f"#/definitions/{to}"}} for name, to in [("a", "b"), ("b", "a"), ("c", "a")]
    }
    assert list(referenced({"$ref": "#/definitions/a"}, definitions)) == ["a", "b"]
