"""What `segbench watch` shows, and when it ends."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from segbench.cli import watch
from segbench.cli.app import main
from segbench.execute.watch import Course, Snapshot, WatchedCell
from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire
from segbench.store.record import Failure, Record
from segbench.store.run_file import PlannedCell, announce_run

KEYS = [character * 16 for character in "0123"]
PLAN = [PlannedCell(key=key, dataset="data", subset="all", method=f"m{key[0]}", seed=0) for key in KEYS]


def write(folder, key, status="ok", cause=None):
    facts = {"benchmark": "bench", "dataset": "data", "subset": "all", "method": f"m{key[0]}", "seed": 0}
    error = Failure(cause=cause) if cause else None
    folder.write(Record(key=key, status=status, error=error, spec={}, environment={}, **facts))


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "bench")


@pytest.fixture
def running(folder):
    """A run of four cells: one done, one failed, one that runs, one to do."""
    with announce_run(folder, PLAN):
        write(folder, KEYS[0])
        write(folder, KEYS[1], "failed", "the loss is NaN at step 17")
        acquire(folder, KEYS[2])
        yield folder


def test_a_pipe_gets_one_snapshot(running, capsys):
    assert main(["watch", str(running.root)]) == 0
    assert capsys.readouterr().out == (
        "bench · 1 of 4 cells done, 1 running, 1 failed, 1 to do\n\n"
        "cell                stage     step  loss  val mIoU [%]  left\n"
        "------------------  --------  ----  ----  ------------  ----\n"
        "data / m2 / seed 0  starting     -  -     -                -\n"
        "failed: data / m1 / seed 0: the loss is NaN at step 17\n"
    )


def test_json_has_the_cells_by_key(running, capsys):
    assert main(["watch", str(running.root), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    (found,) = content["benchmarks"]
    assert (content["schema"], found["benchmark"], found["plan_known"], found["is_over"]) == (1, "bench", True, False)
    statuses = {key[0]: (cell["status"], cell["cause"]) for key, cell in found["cells"].items()}
    assert statuses == {
        "0": ("ok", None),
        "1": ("failed", "the loss is NaN at step 17"),
        "2": ("running", None),
        "3": ("to do", None),
    }


def test_a_running_cell_has_its_curves_and_warnings_in_every_width():
    course = Course(stage="train", losses={1: 1.0, 2: 0.5, 3: 0.25}, mious={2: 0.5, 3: 0.75})
    course.latest, course.warnings = {"step": 3, "steps": 54}, ["x" * 300]
    cell = WatchedCell("nuclei / unet+critic~frozen / seed 0", "running", course=course, seconds_left=75.0)
    snapshot = Snapshot("bench", {"0": cell}, True, False, 75.0)
    text = watch.as_text([snapshot], 120)
    assert "about 1 min 15 s of training left" in text
    assert all(part in text for part in ("train", "3 / 54", "█▃▁ 0.25", "▁█ 75.0"))
    for width in (60, 80, 120, 200):
        table = watch.as_text([snapshot], width).split("\n\n")[1].splitlines()
        assert max(map(len, (line for line in table if "xxx" not in line and "warning" not in line))) <= width


def test_until_done_ends_with_the_run_and_tells_of_failures(folder, capsys, monkeypatch):
    naps = []

    def finish(seconds):
        naps.append(seconds)
        run.__exit__(None, None, None)

    monkeypatch.setattr(watch.time, "sleep", finish)
    run = announce_run(folder, PLAN[:2])
    run.__enter__()
    write(folder, KEYS[0])
    write(folder, KEYS[1])
    assert main(["watch", str(folder.path), "--until-done", "--every", "7"]) == 0
    assert naps == [7.0]
    assert capsys.readouterr().out == "bench · 2 of 2 cells done · nothing runs\n"
    write(folder, KEYS[2], "failed", "it broke")
    assert main(["watch", str(folder.path), "--until-done"]) == 1


def test_a_run_that_tries_or_times_methods_is_told_to_go_on(folder, capsys):
    with announce_run(folder, PLAN[:1]):
        assert main(["watch", str(folder.root), "--once"]) == 0
    assert capsys.readouterr().out == (
        "bench · 0 of 1 cell done, 1 to do · the run goes on: it tries or times methods\n"
    )


def test_ctrl_c_ends_it_without_a_word(running, capsys, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", interrupt)
    monkeypatch.setattr(watch, "_is_terminal", lambda: True)
    assert main(["watch", str(running.root)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "1 of 4 cells done" in captured.out


def test_names_steer_no_terminal(folder, capsys):
    with announce_run(folder, [PLAN[0].model_copy(update={"method": "x\x1b[31m\u202e"})]):
        acquire(folder, KEYS[0])
        assert main(["watch", str(folder.root), "--once"]) == 0
    assert "\\u001b[31m\\u202e" in capsys.readouterr().out


def test_where_no_run_has_been_is_a_mistake(tmp_path, capsys):
    assert main(["watch", str(tmp_path)]) == 2
    assert "no run has been here" in capsys.readouterr().err


def test_a_folder_that_was_removed_is_not_a_run_that_is_done(running, capsys, monkeypatch):
    monkeypatch.setattr(watch.time, "sleep", lambda _: shutil.rmtree(running.path))
    assert main(["watch", str(running.path), "--until-done"]) == 2
    assert "no longer there" in capsys.readouterr().err


def test_watching_thousands_of_records_again_reads_none(folder, monkeypatch):
    from segbench.execute import watch as seen

    for number in range(50):
        write(folder, f"{number:016x}")
    watcher = seen.Watcher(folder)
    watcher.look(time.time())
    monkeypatch.setattr(seen, "read_content", None)
    assert len(watcher.look(time.time()).cells) == 50
