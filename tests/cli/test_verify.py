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


BUILDING = """
name: up
datasets: {shapes: {use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}
protocol: {budget: {steps: 3}, batch_size: 2, threads: 1, timing: none}
seeds: [0]
tune: {trials: 2, seed: 100}
methods:
  base: {generator: {use: basic/fcn, width: 2}, losses: [losses/cross_entropy]}
  next: {extends: base, start_from: base}
  long: {extends: base, protocol: {budget: {like: base, in: seconds}}}
  tuned: {extends: base, tune: {protocol.optimizer.lr: [1.0e-3, 1.0e-2]}}
"""


@pytest.mark.slow
def test_cells_that_build_on_others_are_run_again_with_what_is_recorded_of_these(tmp_path, capsys):
    (tmp_path / "up.yaml").write_text(BUILDING)
    assert main(["run", "up.yaml", "--results", "again"]) == 0
    outcomes = {}
    for kept in (True, False):
        if not kept:
            for weights in (tmp_path / "again" / "up").glob("*/model.safetensors"):
                weights.unlink()
        capsys.readouterr()
        main(["verify", "again", "--cells", "9", "--json"])
        outcomes[kept] = {found["method"]: found["outcome"] for found in json.loads(capsys.readouterr().out)}
    # with one seed there is no interval for what trains for seconds
    expected = {"base": "same bits", "next": "same bits", "tuned": "same bits"}
    for found in outcomes.values():
        assert found.pop("long") in ("same bits", "undecided")
        assert found == expected
