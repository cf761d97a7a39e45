from __future__ import annotations

import pytest
import typer

from segbench.cli.options import parse_folds, parse_options, parse_seeds
from segbench.errors import SpecError


def test_seeds_are_parsed():
    assert parse_seeds("0,1, 2") == (0, 1, 2)
    assert parse_seeds(None) is None


@pytest.mark.parametrize("text", ["", "a", "0,", "1.5", "0-3"])
def test_seeds_that_are_no_numbers_are_refused(text):
    with pytest.raises(SpecError, match="write whole numbers with commas between"):
        parse_seeds(text)


def test_folds_are_parsed_as_seeds_are():
    assert parse_folds("1,2") == (1, 2)
    with pytest.raises(SpecError, match="--folds 1-3: write whole numbers"):
        parse_folds("1-3")


def test_options_are_read_as_yaml_as_in_settings():
    given = ["classes=[a, b]", 'names=["a", "b"]', "values={ignore: 0, a: 1}", "bits=12", "border=class", "suffix="]
    assert parse_options(given) == {
        "classes": ["a", "b"],
        "names": ["a", "b"],
        "values": {"ignore": 0, "a": 1},
        "bits": 12,
        "border": "class",
        "suffix": "",
    }


def test_an_option_that_is_no_yaml_is_named():
    with pytest.raises(SpecError, match=r"--option classes=\[a: not valid YAML"):
        parse_options(["classes=[a"])
    with pytest.raises(typer.BadParameter, match="not of the form KEY=VALUE"):
        parse_options(["classes"])
