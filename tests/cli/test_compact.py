"""`segbench compact`, as a user calls it, and other commands after it."""

from __future__ import annotations

import json

import pytest

from segbench.cli import main
from segbench.store.folder import ResultsFolder
from segbench.store.record import Failure, Record, Scores

KEYS = [digit * 16 for digit in "abc"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder results/ in the current one, with two finished cells and one that failed."""
    monkeypatch.chdir(tmp_path)
    folder = ResultsFolder(tmp_path / "results", "tiny")
    facts = {"benchmark": "tiny", "dataset": "shapes", "subset": "all", "method": "fcn", "environment": {}}
    scores = Scores(miou=0.5, pixel_accuracy=0.9, mean_accuracy=None, fwiou=None, dice=None)
    for seed, key in enumerate(KEYS):
        ended = {"status": "failed", "error": Failure(cause="out of memory")} if seed == 2 else {"scores": scores}
        folder.write(Record(**{"key": key, "seed": seed, "spec": {}, "status": "ok", **facts, **ended}))
    return folder


def test_finished_cells_go_into_segments_and_other_commands_see_all(folder, capsys):
    assert main(["compact"]) == 0
    assert "results/tiny: 2 cells in segments, 2 of them new, " in capsys.readouterr().out
    assert [path.stem for path in folder.path.glob("*.json")] == [KEYS[2]]
    assert main(["records", "--json"]) == 0
    assert [cell["key"] for cell in json.loads(capsys.readouterr().out)["cells"]] == KEYS
    assert main(["remove", KEYS[0], "--yes"]) == 0
    assert main(["compact"]) == 0
    assert "results/tiny: 1 cell in segments, 0 of them new, " in capsys.readouterr().out


def test_a_cell_that_stays_as_it_is_is_named(folder, capsys):
    folder.cell_folder(KEYS[1]).mkdir()
    (folder.cell_folder(KEYS[1]) / "counts.parquet").write_text("none")
    assert main(["compact", "results"]) == 1
    printed = capsys.readouterr()
    assert "1 cell in segments, 1 of them new" in printed.out
    assert f"{KEYS[1]}.json: stays a file of its own: cannot read the counts" in printed.err


def test_a_folder_without_records_is_an_error(tmp_path, capsys):
    assert main(["compact", str(tmp_path)]) == 2
    assert "there are no records in" in capsys.readouterr().err
