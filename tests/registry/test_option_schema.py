from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segbench.contract import Component
from segbench.registry import Offer
from segbench.registry.option_schema import find_description, option_schemas


class Odd:
    """A class of which there is no schema."""


@dataclass
class Point:
    x: int


def schemas(build):
    return option_schemas(Offer("loss", "toy", "toy", "1.0", Component("it", build, "it")), "#/definitions/{model}")


def test_a_type_gives_the_form_and_the_docstring_the_description():
    def build(*, width: int = 8, mode: Literal["a", "b"] = "a", rate: float):
        """Build it. `width` is that of every layer."""

    assert schemas(build) == {
        "width": {"type": "integer", "default": 8, "description": "`width` is that of every layer."},
        "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "rate": {"type": "number"},
    }


def test_a_type_that_refers_to_a_class_brings_its_definition():
    def build(*, starts: list[Point]): ...

    assert schemas(build)["starts"]["items"] == {"$ref": "#/definitions/Point"}
    assert schemas(build)["starts"]["$defs"]["Point"]["required"] == ["x"]


def test_a_default_that_json_lacks_becomes_text():
    def build(*, bound: float = float("inf"), where: object = Odd): ...

    assert schemas(build)["bound"]["default"] == "Infinity"
    assert isinstance(schemas(build)["where"]["default"], str)


def test_an_item_of_a_list_goes_before_a_sentence_and_an_earlier_docstring_before_a_later():
    build = "Build it; with `a` it is small."
    module = "Takes `a` and `b`:\n\n- `a`, `c`: the first\n  of all\n- `b`: the second"
    assert find_description("a", [build, module]) == "Build it; with `a` it is small."
    assert find_description("a", ["", module]) == "the first of all"
    assert find_description("c", [module]) == "the first of all"
    assert find_description("d", [build, module]) is None
