"""`segbench leaderboard`, as a user calls it."""

from __future__ import annotations

import json

import pytest

from segbench.cli import main


@pytest.fixture(autouse=True)
def results(recorded_cell, monkeypatch):
    monkeypatch.chdir(recorded_cell.parents[2])


def test_a_leaderboard_is_written_of_results_and_submissions(tmp_path, capsys):
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    capsys.readouterr()
    assert main(["leaderboard", "results", "entry", "-o", "site"]) == 0
    assert capsys.readouterr() == ("wrote site/index.html: 1 benchmark, 1 method, 0 refusals\n", "")
    assert (tmp_path / "site" / "benchmarks" / "shapes-smoke.html").is_file()
    assert (tmp_path / "site" / "methods" / "fcn.html").is_file()


def test_what_is_refused_is_named_and_the_exit_code_tells(recorded_cell, tmp_path, capsys):
    assert main(["submit", "fcn", "-o", "entry"]) == 0
    path = tmp_path / "entry" / "shapes-smoke" / recorded_cell.name
    content = json.loads(path.read_text())
    content["scores"]["miou"] = 0.99
    path.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["leaderboard", "results", "entry", "-o", "site"]) == 1
    told = capsys.readouterr()
    assert told.out == "wrote site/index.html: 1 benchmark, 1 method, 1 refusal\n"
    assert told.err.startswith("refused: entry: shapes-smoke / shapes / fcn / seed 0 (")
    assert "is not what was packed" in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize("arguments", [["nowhere", "-o", "site"], ["results", "-o", "results"]])
def test_a_mistake_is_told_in_a_line_and_writes_nothing(arguments, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert main(["leaderboard", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert sorted(tmp_path.rglob("*")) == before
