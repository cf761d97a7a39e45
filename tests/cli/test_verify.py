"""`segbench verify`, as a user calls it."""

from __future__ import annotations

import json

import pytest

from segbench.cli import main


@pytest.fixture(autouse=True)
def results(recorded_cell, monkeypatch):
    monkeypatch.chdir(recorded_cell.parents[2])


def test_a_trained_cell_is_run_again_marked_and_the_report_shows_it(recorded_cell, capsys):
    before = recorded_cell.read_bytes()
    assert main(["verify", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 cells reproduced, 0 not, 0 could not be run"
    mark = json.loads((recorded_cell.with_suffix("") / "verified.json").read_text())
    assert mark["outcome"] == "same bits"
    assert recorded_cell.read_bytes() == before
    assert main(["report", "--full"]) == 0
    assert f"seed 0 reproduced, same bits ({mark['date'][:10]})" in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_run_says_why_and_the_exit_code_tells(recorded_cell, capsys):
    content = json.loads(recorded_cell.read_text())
    content.pop("seal", None)
    content["spec"]["sources"] = dict.fromkeys(content["spec"]["sources"], "0" * 16)
    recorded_cell.write_text(json.dumps(content))
    assert main(["verify", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "not run"
    assert "is not what it was" in found["cause"]
    assert not (recorded_cell.with_suffix("") / "verified.json").exists()


def test_a_mark_that_is_damaged_is_named(recorded_cell, capsys):
    (recorded_cell.with_suffix("") / "verified.json").write_text('{"outcome": "same bits"}')
    assert main(["report"]) == 0
    assert "verified.json is no mark of a verification" in " ".join(capsys.readouterr().out.split())


def test_a_method_that_is_not_there_is_named(capsys):
    assert main(["verify", "--method", "nett"]) == 2
    assert "error: no finished cell of a method 'nett'" in capsys.readouterr().err
