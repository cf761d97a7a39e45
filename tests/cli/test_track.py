"""`segbench track` and `segbench run --track`, as a user calls them."""

from __future__ import annotations

import pytest

from segbench.cli import main
from segbench.store.folder import ResultsFolder
from segbench.store.record import Failure, Record, Scores

pytest.importorskip("tensorboard", reason="needs the extra tensorboard")

BENCHMARK = """
name: tiny
datasets: {shapes: {use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}
protocol: {budget: {steps: 3}, batch_size: 2, threads: 1, timing: none}
seeds: [0]
methods:
  plain: {generator: {use: basic/fcn, width: 2}, losses: [losses/cross_entropy]}
"""


def record(folder, method, **changes):
    scores = Scores(miou=0.5, pixel_accuracy=0.9, mean_accuracy=None, fwiou=None, dice=None)
    facts = {"key": method * 16, "benchmark": folder.benchmark, "dataset": "shapes", "subset": "all", "method": method}
    measured = {"seed": 0, "status": "ok", "scores": scores, "spec": {}, "environment": {}}
    folder.write(Record(**{**facts, **measured, **changes}))


def scalars(folder):
    """Return the last value of each scalar of each cell in a folder of TensorBoard's, by the name of the cell."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {path.name.rpartition(" ")[0]: EventAccumulator(str(path)).Reload() for path in folder.iterdir()}
    return {name: {tag: cell.Scalars(tag)[-1].value for tag in cell.Tags()["scalars"]} for name, cell in found.items()}


def test_all_cells_are_mirrored_once_and_those_recorded_twice_with_their_result(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    record(ResultsFolder(tmp_path / "results", "bench"), "a")
    record(ResultsFolder(tmp_path / "results", "other"), "b")
    record(ResultsFolder(tmp_path / "second", "bench"), "a", scores=None, status="failed", error=Failure(cause="full"))
    assert main(["track", "--to", "tensorboard", "results", "second"]) == 0
    assert capsys.readouterr().out == (
        "runs: 2 cells mirrored, 0 were there already\nTo see them: tensorboard --logdir runs\n"
    )
    assert scalars(tmp_path / "runs")["bench shapes a seed 0"]["test/miou"] == 0.5
    assert main(["track", "--to", "tensorboard", "--benchmark", "bench"]) == 0
    assert "0 cells mirrored, 1 were there already" in capsys.readouterr().out


def test_a_mistake_has_exit_code_2_and_no_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["track", "--to", "tensorboard"]) == 2
    assert "no results folder at results" in capsys.readouterr().err
    record(ResultsFolder(tmp_path / "results", "bench"), "a")
    assert main(["track", "--to", "tensorbord=x"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown tracker 'tensorbord'. Did you mean 'tensorboard'?")


def test_a_run_mirrors_its_cells_and_a_wrong_tracker_is_told_before_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(BENCHMARK)
    assert main(["run", "tiny.yaml", "--track", "wandb"]) == 2
    assert "unknown tracker 'wandb'" in capsys.readouterr().err
    assert main(["run", "tiny.yaml", "--device", "cpu", "--track", "tensorboard=board"]) == 0
    (cell,) = scalars(tmp_path / "board").values()
    assert cell["cost/steps"] == 3
    assert {"train/loss", "test/miou"} <= cell.keys()
    assert main(["track", "--to", "tensorboard=board"]) == 0
    assert "0 cells mirrored, 1 were there already" in capsys.readouterr().out
