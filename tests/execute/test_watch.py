"""What is seen of a run from outside."""

from __future__ import annotations

import json
import os
import signal

import pytest
from run_functions import make_cell, make_cells

from segbench.errors import RecordError
from segbench.execute.jobs import unfinished_record
from segbench.execute.run import describe_cells
from segbench.execute.watch import Course, Watcher, find_folders
from segbench.execute.worker import PipeChannel
from segbench.store.compaction import compact
from segbench.store.folder import EVENTS, ResultsFolder
from segbench.store.leases import acquire, see_leases
from segbench.store.record import Failure
from segbench.store.run_file import announce_run

CELL = make_cell("unet")
LABEL = "data / unet / seed 0"


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "bench")


def events_of(folder):
    """Return the file of events of the one attempt there is."""
    (lease,) = see_leases(folder, 0.0)
    place = folder.cell_folder(lease.key) / lease.attempt
    place.mkdir(exist_ok=True)
    return place / EVENTS


class NoConnection:
    """The parent's end of a pipe that nobody reads."""

    def send(self, message):
        pass


@pytest.fixture
def emit(folder, monkeypatch):
    """Write an event of the cell at a time, as a worker does."""

    def write(event, at, **fields):
        monkeypatch.setattr("segbench.execute.worker.time.time", lambda: at)
        with events_of(folder).open("a") as file:
            PipeChannel(NoConnection(), file).emit(event, **fields)

    return write


def step(number, steps=100, **fields):
    return {"step": number, "steps": steps, "seconds": 1.0, "loss": 1.0 / number, "images_per_second": 2.0, **fields}


def seen(watcher, now=1000.0):
    snapshot = watcher.look(now)
    return snapshot, snapshot.cells[CELL.key]


def test_a_run_in_another_process_is_followed_to_its_end(tmp_path, folder, program, until):
    running = program("raise,waiting,unet")
    watcher = Watcher(folder)

    def statuses():
        return [cell.status for cell in watcher.look(os.stat(tmp_path).st_mtime).cells.values()]

    until(lambda: statuses() == ["failed", "running", "to do"])
    waiting = until(lambda: [cell for cell in watcher.look(0.0).with_status("running") if cell.course.stage])
    assert [(cell.label, cell.course.stage) for cell in waiting] == [("data / waiting / seed 0", "train")]
    assert not watcher.look(0.0).is_over
    (tmp_path / "go on").touch()
    running.communicate(timeout=300)
    end = watcher.look(0.0)
    assert (statuses(), end.is_over, end.plan_known) == (["failed", "ok", "ok"], True, True)


def test_a_cell_whose_run_was_killed_is_abandoned(folder, program, until):
    running = program("waiting,unet")
    watcher = Watcher(folder)
    # Not as soon as there is a lease: it may still be empty, and whose it was would never be known.
    until(lambda: [cell for cell in watcher.look(0.0).with_status("running") if cell.course.stage])
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=300)
    end = watcher.look(0.0)
    assert [cell.status for cell in end.cells.values()] == ["abandoned", "to do"]
    assert f"process {running.pid} on " in end.with_status("abandoned")[0].trouble
    assert end.is_over


def test_the_time_left_follows_the_rate_of_steps(folder, emit):
    with announce_run(folder, *describe_cells([CELL])):
        acquire(folder, CELL.key)
        watcher = Watcher(folder)
        emit("stage", 900.0, name="train")
        emit("step", 910.0, **step(10))
        assert seen(watcher, 920.0)[1].seconds_left is None
        emit("step", 950.0, **step(50))
        emit("validation", 951.0, step=50, miou=0.5)
        snapshot, cell = seen(watcher, 950.0)
        assert cell.seconds_left == pytest.approx(50.0)  # 40 steps in 40 s, 50 to go
        assert snapshot.seconds_left == pytest.approx(50.0)
        assert (cell.label, cell.course.losses, cell.course.mious) == (LABEL, {10: 0.1, 50: 0.02}, {50: 0.5})


def test_what_a_resumed_cell_repeats_is_forgotten():
    course = Course()
    for number in (10, 20, 30):
        course.take({"event": "step", "time": float(number), **step(number)}, None)
    course.take({"event": "resumed", "time": 100.0, "step": 20}, None)
    assert (course.first, course.losses) == (None, {10: 0.1})
    course.take({"event": "step", "time": 101.0, **step(25)}, None)
    assert course.first == (101.0, 0.25)
    course.take({"event": "step", "time": 200.0, **step(2)}, None)
    assert course.losses == {2: 0.5}


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(folder, emit):
    acquire(folder, CELL.key)
    watcher = Watcher(folder)
    emit("step", 900.0, **step(1))
    path = events_of(folder)
    whole = json.dumps({"time": 901.0, "event": "step", **step(2)}) + "\n"
    path.write_text(path.read_text() + whole[:20])
    assert seen(watcher)[1].course.latest["step"] == 1
    path.write_text(path.read_text() + whole[20:])
    assert seen(watcher)[1].course.latest["step"] == 2
    path.write_text("null\nnonsense\n")
    assert seen(watcher)[1].course.latest == {}


def test_what_is_no_event_and_no_record_of_ours_is_no_trouble(folder):
    acquire(folder, CELL.key)
    path = events_of(folder)
    lines = ['{"event": "step", "step": 1}', '{"time": "now"}', '{"time": 1, "event": "step", "step": 2, "steps": "x"}']
    path.write_text("\n".join([*lines, "[" * 10_000, '{"time": 2, "event": ["x"], "step": [3]}']) + "\n")
    other = {"schema": 1, "train": [1], "error": "x", "status": [], "seed": {}}
    folder.record_path("0" * 16).write_text(json.dumps(other))
    snapshot, cell = seen(Watcher(folder))
    assert cell.course.latest == {"step": 2}
    assert snapshot.cells["0" * 16].status == "[]"


def test_a_number_without_end_is_in_no_curve(folder):
    acquire(folder, CELL.key)
    path = events_of(folder)
    path.write_text('{"time": 1, "event": "step", "step": 1, "loss": 1e999}\n{"time": 1e999, "step": 2, "loss": 1}\n')
    _, cell = seen(Watcher(folder))
    assert (cell.course.latest, cell.course.losses) == ({"step": 1}, {})


def test_a_pipe_in_the_place_of_events_is_not_waited_for(folder):
    acquire(folder, CELL.key)
    os.mkfifo(events_of(folder))
    assert seen(Watcher(folder))[1].course.latest == {}


def test_a_silent_cell_and_its_last_warnings_are_told(folder, emit):
    acquire(folder, CELL.key)
    for number in range(5):
        emit("warning", 900.0, message=f"warning {number}")
    watcher = Watcher(folder)
    assert seen(watcher, 1000.0)[1].trouble == ""
    _, cell = seen(watcher, 900.0 + 420)
    assert cell.trouble == "no event for 7 min"
    assert cell.course.warnings == ["warning 2", "warning 3", "warning 4"]


def test_a_lease_from_elsewhere_is_abandoned_by_its_age(folder):
    lease = acquire(folder, CELL.key)
    lease.path.write_text(json.dumps({**json.loads(lease.path.read_text()), "machine": "elsewhere"}))
    os.utime(lease.path, (1000.0, 1000.0))
    watcher = Watcher(folder)
    assert [seen(watcher, 1000.0 + after)[1].status for after in (60.0, 130.0)] == ["running", "abandoned"]


def test_records_are_seen_as_they_change_and_nothing_is_changed(folder):
    watcher = Watcher(folder)
    folder.write(unfinished_record(CELL, "failed", Failure(cause="it broke"), {}))
    broken = folder.record_path("0" * 16)
    broken.write_text("{")
    before = sorted(folder.path.rglob("*"))
    snapshot, cell = seen(watcher)
    assert (cell.label, cell.status, cell.cause) == (LABEL, "failed", "it broke")
    assert (list(snapshot.cells), snapshot.plan_known, snapshot.is_over) == ([CELL.key], False, True)
    assert sorted(folder.path.rglob("*")) == before
    folder.write(unfinished_record(CELL, "interrupted", Failure(cause="stopped before it was done"), {}))
    assert seen(watcher)[1].status == "interrupted"


def test_a_run_between_two_cells_is_not_over(folder):
    with announce_run(folder, *describe_cells(make_cells(["unet", "fpn"]))):
        assert not Watcher(folder).look(0.0).is_over
    assert Watcher(folder).look(0.0).is_over


def test_folders_are_found_in_a_results_folder_or_named_themselves(tmp_path):
    for name in ("one", "two"):
        folder = ResultsFolder(tmp_path, name)
        folder.write(unfinished_record(CELL, "failed", Failure(cause="it broke"), {}))
    (tmp_path / "notes").mkdir()
    assert [one.benchmark for one in find_folders(tmp_path)] == ["one", "two"]
    assert [one.benchmark for one in find_folders(tmp_path / "two")] == ["two"]
    with pytest.raises(RecordError, match="no run has been here"):
        find_folders(tmp_path / "notes")
    with pytest.raises(RecordError, match=r"no results folder at .*/thre"):
        find_folders(tmp_path / "thre")


def test_cells_in_segments_are_seen_as_finished_before_and_after(folder):
    ended = unfinished_record(CELL, "failed", Failure(cause="it broke"), {})
    folder.write(ended.model_copy(update={"status": "ok", "error": None}))
    watcher = Watcher(folder)
    assert seen(watcher)[1].status == "ok"
    compact(folder)
    assert seen(watcher)[1].status == seen(Watcher(folder))[1].status == "ok"
    assert [one.benchmark for one in find_folders(folder.root)] == ["bench"]
