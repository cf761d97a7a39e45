from __future__ import annotations

import json
import subprocess
import sys

import pytest

from segbench.cli import main
from segbench.stats.conventions import CONVENTIONS


@pytest.fixture(autouse=True)
def results(recorded_cell, monkeypatch):
    """A folder results/ with one trained cell, in the current folder."""
    monkeypatch.chdir(recorded_cell.parent.parent.parent)


def test_a_trained_cell_gives_its_own_score_again(recorded_cell, capsys):
    assert main(["rescore", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    [found] = content["rankings"][0]["rows"]
    stated = json.loads(recorded_cell.read_text())["scores"]["miou"]
    assert found["scores"]["reference"]["mean"] == pytest.approx(stated, abs=1e-9)
    assert content["rankings"][0]["set_aside"] == []


def test_only_the_conventions_asked_for_stand_beside_the_reference(capsys):
    assert main(["rescore", "--convention", "absent-as-one"]) == 0
    (header,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("method") and "seeds" in line]
    assert header.split() == ["method", "seeds", "reference", "absent-as-one"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: no results folder at nowhere"),
        (["--benchmark", "shapes-smok"], "Did you mean 'shapes-smoke'?"),
        (["--convention", "per-imag"], "there is no convention 'per-imag'"),
        (["--convention", "per-imag"], "Did you mean 'per-image'?"),
    ],
)
def test_a_mistake_is_one_clear_message_and_exit_code_2(capsys, arguments, message):
    assert main(["rescore", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


def test_under_json_an_unknown_convention_is_told_with_all_there_are(capsys):
    assert main(["rescore", "--json", "--convention", "per-imag"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["allowed"] == list(CONVENTIONS)


def test_torch_is_not_needed():
    script = "import sys; from segbench.cli import main; main(['rescore']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "segbench.report.rescoring" in done.stderr.split()
    assert "torch" not in done.stderr.split()


def test_the_help_names_every_convention(capsys):
    main(["rescore", "--help"])
    *others, last = CONVENTIONS
    assert f"{', '.join(others)} or {last};" in " ".join(capsys.readouterr().out.split())
