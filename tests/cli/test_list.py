from __future__ import annotations

import json

import pytest

from segbench.cli import main

SOURCE = """
from segbench import Component, hookimpl

def build(num_classes, *, gamma: float = 2.0, width: int): ...

@hookimpl
def segbench_losses():
    yield Component("focus", build, "Looks at edges", role="penalty", requires=("typer", "no-such-library"))

@hookimpl
def segbench_discriminators():
    yield Component("critic", build, "Judges")
"""


@pytest.fixture
def mine(install_plugin):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": SOURCE}, version="1.5")
    install_plugin("bad-dist", {"bad": "bad"}, {"bad.py": "print('I am loud')\nraise RuntimeError('no luck')"})


@pytest.mark.parametrize("kind", ["loss", "losses", "Losses"])
def test_one_kind_is_listed_in_columns(mine, capsys, kind):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "FROM", "SUMMARY"]
    [line] = [line for line in lines if "mine/focus" in line]
    assert line.split(maxsplit=4) == ["loss", "mine/focus", "my-dist", "1.5", "Looks at edges"]
    assert line.index("Looks") == lines[0].index("SUMMARY")
    assert not any("mine/critic" in line for line in lines)


def test_without_a_kind_everything_is_listed(mine, capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "mine/focus" in out
    assert "mine/critic" in out


def test_broken_plugins_are_named_on_stderr_and_stdout_stays_pure(mine, capsys):
    assert main(["list", "--json"]) == 0
    captured = capsys.readouterr()
    listed = {component["name"]: component for component in json.loads(captured.out)["components"]}
    assert listed["mine/focus"] == {
        "kind": "loss",
        "name": "mine/focus",
        "summary": "Looks at edges",
        "plugin": "mine",
        "distribution": "my-dist",
        "version": "1.5",
        "file": None,
        "maps": None,
        "role": "penalty",
        "requires": ["typer", "no-such-library"],
        "extra": None,
    }
    assert "broken plugin 'bad' (bad-dist 1.0) offers nothing: bad cannot be imported: RuntimeError: no luck." in (
        captured.err
    )


def test_what_plugins_do_and_should_not_is_reported_on_stderr(install_plugin, capsys):
    install_plugin("my-dist", {"mine": "my_plugin"}, {"my_plugin.py": f"import os\nos.chdir('/')\n{SOURCE}"})
    assert main(["list", "--json"]) == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert captured.err == (
        "plugin 'mine' (my-dist 1.0) changed the working folder while it was loaded; this was put back\n"
    )


def test_a_broken_plugin_that_prints_leaves_stdout_pure(mine, capsys):
    assert main(["list", "--json"]) == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert "plugin 'bad' (bad-dist 1.0) printed while it was loaded:\n  I am loud\n" in captured.err


def test_an_unknown_kind_names_the_kinds(capsys):
    assert main(["list", "generaters"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: unknown kind 'generaters'. Did you mean 'generators'? "
        "Available: generator, discriminator, loss, dataset.\n"
    )
