from __future__ import annotations

import pytest
import typer

from segbench.cli import main
from segbench.cli.options import parse_jobs, parse_numbers, parse_options
from segbench.errors import SpecError


def test_numbers_are_parsed():
    assert parse_numbers("--seeds", "0,1, 2") == (0, 1, 2)
    assert parse_numbers("--seeds", None) is None


@pytest.mark.parametrize("text", ["", "a", "0,", "1.5", "0-3"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(SpecError, match=f"--folds {text}: write whole numbers with commas between"):
        parse_numbers("--folds", text)


def test_jobs_are_a_number_or_auto():
    assert [parse_jobs(given) for given in (1, "4", "auto")] == [1, 4, "auto"]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "Auto"])
def test_jobs_that_are_no_number_of_cells_are_refused(text):
    with pytest.raises(ValueError, match="must be a number from 1 on, or auto"):
        parse_jobs(text)


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
    with pytest.raises(typer.BadParameter, match="not of the form KEY=VALUE, such as 'classes=\\[road, car\\]'"):
        parse_options(["classes"])


def test_options_and_settings_say_alike_how_lists_and_mappings_are_written(capsys):
    option = ["prepare", "data/folder", "--root", "."]
    assert main([*option, "--option", "classes=a,b"]) == 2
    assert "Input should be a valid list; a list is written [a, b]" in capsys.readouterr().err
    assert main([*option, "--option", "values={a:0}"]) == 2
    assert "a mapping is written {a: 1, b: 2}, with a space behind each colon" in capsys.readouterr().err
    assert main(["plan", "quickstart", "--set", "protocol.crop=64,64"]) == 2
    assert "must be a list, not the text '64,64'; a list is written [a, b]" in capsys.readouterr().err
