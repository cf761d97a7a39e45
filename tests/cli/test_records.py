"""`segbench records` and `segbench remove`, as a user calls them."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from segbench.cli import main
from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire
from segbench.store.record import Failure, Record, Scores, Train

KEYS = {"base": "a" * 16, "next": "ab" * 8, "broken": "c" * 16}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder results/ in the current one: a method, one that starts from it, and one that failed."""
    monkeypatch.chdir(tmp_path)
    folder = ResultsFolder(tmp_path / "results", "tiny")
    facts = {"benchmark": "tiny", "dataset": "shapes", "subset": "all", "seed": 0}
    began = {"segbench": "0.1.0", "started": "2026-11-29T22:46:14+00:00"}
    scores = Scores(miou=0.5, pixel_accuracy=0.9, mean_accuracy=None, fwiou=None, dice=None)
    for name, key in KEYS.items():
        spec = {"upstream": {"start_from": KEYS["base"]} if name == "next" else {}, "sources": {"generator x": "1"}}
        ended = {"status": "failed", "error": Failure(cause="out of memory")} if name == "broken" else {"status": "ok"}
        found = {"scores": scores, "train": Train(steps=9, seconds=1.5, images_per_second=None)}
        measured = found if name != "broken" else {}
        folder.write(Record(key=key, method=name, spec=spec, environment=began, **facts, **ended, **measured))
        folder.cell_folder(key).mkdir()
        (folder.cell_folder(key) / "model.safetensors").write_bytes(bytes(2000))
    return folder


def left(folder):
    return [record.method for record in folder.records()]


def test_every_cell_has_a_line_with_what_it_is_and_takes(folder, capsys):
    assert main(["records"]) == 0
    header, *lines, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["key", "benchmark", "dataset", "method", "seed", "status", "began", "code", "size"]
    assert [line.split()[3] for line in lines] == ["base", "broken", "next"]
    assert lines[1].split()[:8] == [KEYS["broken"], "tiny", "shapes", "broken", "0", "failed", "2026-11-29", "22:46"]
    assert lines[0].split()[8].startswith("0.1.0-")
    assert re.search(r" \d(\.\d+)? kB$", lines[0])
    assert re.fullmatch(r"3 cells, \d\.\d+ kB", total)


def test_json_has_cause_code_size_scores_and_what_a_cell_builds_on(folder, capsys):
    assert main(["records", "results", "--json"]) == 0
    base, broken, following = json.loads(capsys.readouterr().out)["cells"]
    assert (base["key"], base["fold"], base["miou"], base["train_seconds"]) == (KEYS["base"], None, 0.5, 1.5)
    assert (broken["cause"], broken["miou"], base["cause"]) == ("out of memory", None, None)
    assert following["builds_on"] == [KEYS["base"]]
    assert base["bytes"] == folder.record_path(KEYS["base"]).stat().st_size + 2000


def test_code_is_the_same_where_version_and_sources_are(folder, capsys):
    record = folder.read(KEYS["next"])
    folder.write(record.model_copy(update={"spec": {"sources": {"generator x": "2"}}}))
    main(["records", "--json"])
    code = {cell["method"]: cell["code"] for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert code["base"] == code["broken"] != code["next"]


def test_a_record_that_cannot_be_read_is_named(folder, capsys):
    folder.record_path(KEYS["base"]).write_text("{")
    assert main(["records"]) == 0
    captured = capsys.readouterr()
    assert "2 cells, " in captured.out
    assert f"not read: results/tiny/{KEYS['base']}.json: it is not JSON" in captured.err


def test_a_record_that_cannot_be_read_is_kept_and_named(folder, capsys):
    folder.record_path(KEYS["base"]).write_text("{")
    assert main(["remove", "--benchmark", "tiny", "--yes"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].startswith("2 cells removed")
    assert f"not read, and so kept: results/tiny/{KEYS['base']}.json: it is not JSON" in captured.err
    assert folder.record_path(KEYS["base"]).exists()


def test_cells_of_a_method_are_removed_with_their_size_once_that_is_confirmed(folder, capsys):
    assert main(["remove", "--method", "next", "--yes"]) == 0
    out = capsys.readouterr().out
    assert f"removed  {KEYS['next']} (tiny / shapes / next / seed 0), " in out
    assert re.fullmatch(r"1 cell removed, \d\.\d+ kB", out.splitlines()[-1])
    assert left(folder) == ["base", "broken"]
    assert not folder.cell_folder(KEYS["next"]).exists()


@pytest.mark.parametrize(("answer", "methods"), [("y\n", ["base", "next"]), ("\n", ["base", "next", "broken"])])
def test_it_asks_on_a_terminal(folder, capsys, monkeypatch, answer, methods):
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert main(["remove", "--status", "failed"]) == 0
    assert "Remove them?" in capsys.readouterr().err
    assert left(folder) == methods


def test_where_nobody_can_be_asked_nothing_is_removed(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["remove", "--method", "base"]) == 2
    assert "--yes removes these cells without asking" in " ".join(capsys.readouterr().err.split())
    assert len(left(folder)) == 3


def test_that_other_cells_build_on_one_is_said(folder, capsys):
    assert main(["remove", KEYS["base"][:2], KEYS["base"], "--yes"]) == 0
    error = capsys.readouterr().err
    assert f"other cells build on these: tiny / shapes / next / seed 0 ({KEYS['next']})" in error
    assert left(folder) == ["next", "broken"]


def test_cells_are_kept_that_a_process_works_on_or_builds_on(folder, capsys):
    lease = acquire(folder, KEYS["next"])
    assert main(["remove", "--benchmark", "tiny", "--yes"]) == 1
    captured = capsys.readouterr()
    assert f"kept     {KEYS['next']} (tiny / shapes / next / seed 0): another process works on it" in captured.err
    assert f"kept     {KEYS['base']} (tiny / shapes / base / seed 0): a process works on a cell that builds on it" in (
        captured.err
    )
    assert left(folder) == ["base", "next"]
    lease.release()


def test_cells_are_kept_while_a_process_works_on_one_without_a_record_that_may_build_on_them(folder, capsys):
    lease = acquire(folder, "f" * 16)
    assert main(["remove", "--method", "base", "--yes"]) == 1
    assert "a process works on a new cell, which may build on it" in capsys.readouterr().err
    lease.release()
    assert main(["remove", "--method", "base", "--yes"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to remove"),
        (["--method", "bass"], "no recorded cell of the method 'bass'. Did you mean 'base'?"),
        (["--dataset", "shape"], "no recorded cell of the dataset 'shape'. Did you mean 'shapes'?"),
        (["dd"], "no recorded cell has a key that begins with 'dd'"),
        (["a"], f"'a' begins 2 keys: {KEYS['base']}, {KEYS['next']}; write more of one"),
        (["--results", "nowhere", "--method", "base"], "no results folder at nowhere"),
    ],
)
def test_what_means_nothing_is_told(folder, capsys, arguments, message):
    assert main(["remove", *arguments, "--yes"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert len(left(folder)) == 3


def test_conditions_that_no_cell_meets_together_remove_nothing(folder, capsys):
    assert main(["remove", "--method", "base", "--status", "failed", "--yes"]) == 0
    assert "nothing to remove: no recorded cell is what was asked for" in capsys.readouterr().err
    assert len(left(folder)) == 3
