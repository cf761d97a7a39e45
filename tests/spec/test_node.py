from __future__ import annotations

from pathlib import Path

import pytest

from segbench.errors import SpecError
from segbench.spec.node import Node, Place, check_keys, describe

FILE = Place("bench.yaml", Path("folder"), line=3)
OPTION = Place("--set a.b=1", Path())


def test_a_place_is_file_line_and_path():
    assert str(FILE) == "bench.yaml:3"
    assert str(FILE.entry("a").entry(0).on_line(5)) == "bench.yaml:5: a.0"
    assert FILE.entry("a").folder == Path("folder")


def test_what_is_given_on_the_command_line_has_no_line():
    assert str(OPTION.entry("a").on_line(5)) == "--set a.b=1: a"


def test_a_value_of_another_type_is_an_error_that_names_it():
    node = Node([Node(1, FILE)], FILE)
    assert node.sequence("must be a list") == [Node(1, FILE)]
    with pytest.raises(SpecError, match=r"^bench.yaml:3: must be a mapping, not a list$"):
        node.mapping("must be a mapping")
    with pytest.raises(SpecError, match=r"^bench.yaml:3: must be text, not a list$"):
        node.text("must be text")
    with pytest.raises(SpecError, match=r"^bench.yaml:3: must be a list, not a mapping$"):
        Node({}, FILE).sequence("must be a list")


def test_scalars_are_named_so_that_text_and_numbers_differ():
    assert [describe(value) for value in ("1", 1, 0.5, False, None)] == [
        "the text '1'",
        "the number 1",
        "the number 0.5",
        "false",
        "null",
    ]


def test_an_unknown_key_is_an_error_with_the_allowed_and_the_nearest():
    node = Node({"sedes": Node(1, FILE.entry("sedes"))}, FILE)
    with pytest.raises(SpecError) as caught:
        check_keys(node, "must be a mapping", ["name", "seeds"])
    assert str(caught.value) == (
        "bench.yaml:3: sedes: unknown key 'sedes'; allowed here: name, seeds. Did you mean 'seeds'?"
    )
