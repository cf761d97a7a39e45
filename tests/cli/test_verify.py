"""`segbench verify`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segbench.cli import main


@pytest.fixture(autouse=True)
def results(recorded_cell, monkeypatch):
    monkeypatch.chdir(recorded_cell.parents[2])


def test_a_trained_cell_is_run_again_marked_and_the_report_shows_it(recorded_cell, capsys):
    before = recorded_cell.read_bytes()
    assert main(["verify", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "1 of 1 cell reproduced, 0 not, 0 undecided, 0 could not be run"
    )
    mark = json.loads((recorded_cell.with_suffix("") / "verified.json").read_text())
    assert mark["outcome"] == "same bits"
    assert recorded_cell.read_bytes() == before
    assert main(["report", "--full"]) == 0
    assert f"seed 0 reproduced, same bits ({mark['date'][:10]})" in " ".join(capsys.readouterr().out.split())


def change(record, edit, copy=None):
    """Change what a record holds, in its file or in a copy beside it."""
    content = json.loads(record.read_text())
    content.pop("seal", None)
    edit(content)
    (copy or record).write_text(json.dumps(content))


def plant(record, miou, **others):
    """Let a record say another mIoU than was measured."""
    change(record, lambda content: content["scores"].update(miou=miou) or content.update(others))


def test_a_planted_wrong_score_is_found_by_bits_and_elsewhere_by_the_interval_of_other_seeds(recorded_cell, capsys):
    measured = json.loads(recorded_cell.read_text())["scores"]["miou"]
    plant(recorded_cell, measured + 0.01)
    call = ["verify", "results", "--cells", "9", "--results", "again", "--json"]
    assert main([*call, "--device", "cpu"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["cells"]
    assert (found["outcome"], found["mark"]["before"], found["mark"]["after"]) == (
        "not reproduced",
        pytest.approx(measured + 0.01),
        measured,
    )
    (again,) = Path("again").glob("*/*.json")
    kept = again.read_bytes()
    for seed in range(1, 6):
        as_seed = lambda content, seed=seed: (  # noqa: E731
            content.update(key=f"{seed:016}", seed=seed),
            content["scores"].update(miou=measured + 0.001 * seed),
        )
        change(recorded_cell, as_seed, recorded_cell.with_name(f"{seed:016}.json"))
    outcomes = []
    for miou in (measured + 0.002, measured + 0.05):
        plant(recorded_cell, miou, environment={"device": "cpu", "cpu": "another", "torch": "0.1"})
        main(call)
        (found,) = [one for one in json.loads(capsys.readouterr().out)["cells"] if one["seed"] == 0]
        outcomes.append((found["outcome"], found["mark"]["seeds"], found["mark"]["differences"][0]))
    assert [outcome for outcome, *_ in outcomes] == ["within seeds", "not reproduced"]
    assert all(seeds == 6 and told.endswith("was another") for _, seeds, told in outcomes)
    assert again.read_bytes() == kept  # nothing was trained again


def test_what_is_run_lies_apart_from_what_is_verified(capsys):
    assert main(["verify", "results", "--results", "results/again"]) == 2
    assert "lies in results, whose records are verified" in capsys.readouterr().err


def test_what_cannot_be_run_says_why_and_the_exit_code_tells(recorded_cell, capsys):
    change(recorded_cell, lambda content: content["spec"].update(fingerprint="0" * 32))
    assert main(["verify", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["cells"]
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
            for weights in (tmp_path / "again" / "up").rglob("model.safetensors"):
                weights.unlink()
        capsys.readouterr()
        main(["verify", "again", "--cells", "9", "--json"])
        outcomes[kept] = {found["method"]: found["outcome"] for found in json.loads(capsys.readouterr().out)["cells"]}
    # with one seed there is no interval for what trains for seconds
    expected = {"base": "same bits", "next": "same bits", "tuned": "same bits"}
    for found in outcomes.values():
        assert found.pop("long") in ("same bits", "undecided")
        assert found == expected
