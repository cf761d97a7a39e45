"""`--disable PLUGIN` and SEGBENCH_DISABLED_PLUGINS."""

from __future__ import annotations

import json
import os

import pytest

from segbench.cli import main
from segbench.registry.plugins import DISABLED_BY_OPTION_VARIABLE, DISABLED_VARIABLE

GOOD = """
from segbench import Component, hookimpl

def build(num_classes): ...

@hookimpl
def segbench_losses():
    yield Component("good", build, "Works")
"""


@pytest.fixture(autouse=True)
def mine(install_plugin, monkeypatch):
    monkeypatch.delenv(DISABLED_VARIABLE, raising=False)
    install_plugin("my-dist", {"mine": "mine"}, {"mine.py": f"print('imported')\n{GOOD}"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["--disable", "mine", "list", "losses"],
        ["list", "--disable", "mine", "losses"],
        ["list", "losses", "--disable=mine", "--disable", "gan"],
    ],
)
def test_a_plugin_is_left_out_wherever_the_option_stands(arguments, capsys):
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "mine/good" not in captured.out
    assert "losses/dice" in captured.out
    assert "imported" not in captured.err
    assert "plugin 'mine' (my-dist 1.0) is disabled by --disable\n" in captured.err


def test_the_variable_does_the_same(capsys, monkeypatch):
    monkeypatch.setenv(DISABLED_VARIABLE, "mine")
    assert main(["list", "losses", "--json"]) == 0
    captured = capsys.readouterr()
    assert "mine/good" not in {component["name"] for component in json.loads(captured.out)["components"]}
    assert captured.err == "plugin 'mine' (my-dist 1.0) is disabled by SEGBENCH_DISABLED_PLUGINS\n"


def test_the_option_ends_with_its_command(capsys):
    before = dict(os.environ)
    main(["list", "losses", "--disable", "mine"])
    assert dict(os.environ) == before
    assert {DISABLED_VARIABLE, DISABLED_BY_OPTION_VARIABLE}.isdisjoint(os.environ)
    main(["list", "losses"])
    assert "mine/good" in capsys.readouterr().out


def test_a_component_of_such_a_plugin_says_what_keeps_it_away(capsys):
    assert main(["show", "loss", "mine/good", "--disable", "mine"]) == 2
    assert capsys.readouterr().err == (
        "error: loss 'mine/good' is not available: plugin 'mine' (my-dist 1.0) is disabled by --disable; "
        "remove 'mine' from it.\n"
    )


def test_a_plugin_that_does_not_exist_is_an_error_with_the_nearest_name(capsys):
    assert main(["list", "--disable", "mime"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        "error: --disable mime: there is no plugin of that name. Did you mean 'mine'? Available: "
    )


def test_in_the_variable_it_is_none(monkeypatch):
    monkeypatch.setenv(DISABLED_VARIABLE, "mime")
    assert main(["list", "losses"]) == 0


def test_workers_leave_it_out_as_well(monkeypatch, tmp_path):
    from segbench.cli.app import apply_plugin_options, keep_environment
    from segbench.execute.workers import _environment

    with keep_environment():
        apply_plugin_options(["mine"], [])
        assert _environment()[DISABLED_VARIABLE] == "mine"
