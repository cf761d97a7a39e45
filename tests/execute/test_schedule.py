"""The order of cells, and sharing a results folder with other runs."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest
from run_functions import make_cell, make_cells, ran, run_all, statuses, timed

from segbench.config.protocol import Budget
from segbench.execute import schedule
from segbench.execute.jobs import unfinished_record
from segbench.execute.progress import NoProgress
from segbench.execute.schedule import SharedCells
from segbench.store.attempt import tidy
from segbench.store.folder import CHECKPOINT, ResultsFolder, files_of
from segbench.store.leases import acquire
from segbench.store.record import Failure
from segbench.store.verification import read_verification

CELL = make_cell("unet")
KEY = CELL.key


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "bench")


def record(status):
    return unfinished_record(CELL, status, Failure(cause="it did"), {})


def test_a_leased_cell_cannot_be_leased_again_until_it_is_released(folder):
    with SharedCells(folder, [KEY]) as mine:
        assert mine.lease(KEY)
        assert acquire(folder, KEY) is None
    assert acquire(folder, KEY) is not None


@pytest.mark.parametrize(("status", "counts"), [("failed", True), ("skipped", True), ("interrupted", False)])
def test_what_was_recorded_since_the_start_counts_unless_it_was_interrupted(folder, status, counts):
    shares = SharedCells(folder, [KEY])
    assert shares.new_record(KEY) is None
    folder.write(record(status))
    assert (shares.new_record(KEY) is not None) == counts


def test_a_failure_from_before_is_no_news_but_an_ok_record_is(folder):
    folder.write(record("failed"))
    assert SharedCells(folder, [KEY]).new_record(KEY) is None
    folder.write(record("failed").model_copy(update={"status": "ok"}))
    assert SharedCells(folder, [KEY]).new_record(KEY).status == "ok"


def test_a_lease_that_another_run_took_over_is_lost_and_not_released(folder, monkeypatch):
    monkeypatch.setattr(schedule, "RENEW_SECONDS", 0.0)
    mine = SharedCells(folder, [KEY])
    mine.lease(KEY)
    assert mine.renew() == []
    mine.leases[KEY].path.unlink()
    other = acquire(folder, KEY)
    assert mine.renew() == [KEY]
    mine.release(KEY)
    assert other.path.exists()
    assert not other.is_lost


def test_a_second_attempt_is_given_up_at_once_when_the_first_is_recorded(folder):
    first = acquire(folder, KEY)
    for path in (first.path, first.marker):
        path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "elsewhere"}))
    mine = SharedCells(folder, [KEY])
    assert mine.join(KEY)
    assert mine.renew() == []
    folder.write(record("failed").model_copy(update={"status": "ok"}))
    tidy(folder, KEY)
    assert mine.renew() == [KEY]


def lease_of(folder):
    """Return the one lease file there is."""
    (path,) = folder.lease_folder.glob("*.json")
    return path


def seem_abandoned(folder):
    """Let a lease be of another machine, and not renewed for minutes."""
    path = lease_of(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "elsewhere"}))
    then = time.time() - 200
    os.utime(path, (then, then))


def published_by(folder, key):
    """Return which processes made the record and each file of a cell, and what else lies in the folder of its attempt.

    Nothing may lie beside that.
    """
    record = folder.read(key)
    place = files_of(folder.path, record)
    files = {path.relative_to(place) for path in folder.cell_folder(key).rglob("*") if path.is_file()}
    logs = {file for file in files if file.name in ("worker.log", "events.jsonl")}
    makers = {(place / file).read_text() for file in files - logs}
    return makers | {str(record.environment["process"])}, {str(file) for file in files - logs}


def test_what_an_attempt_has_written_stays_alone_beside_its_record(tmp_path, workers, folder):
    cell = make_cell("counting")
    for name in (f".{'0' * 16}", f"1-{'0' * 16}"):
        left = folder.cell_folder(cell.key) / name
        left.mkdir(parents=True)
        (left / "counts.parquet").write_text("of a run that was killed")
    run_all([cell], tmp_path, workers=workers)
    makers, files = published_by(folder, cell.key)
    assert len(makers) == 1
    assert files == {"counts.parquet", "samples/last.png"}


def test_a_run_that_was_stopped_while_another_took_its_cell_over_changes_nothing(
    tmp_path, workers, folder, program, until
):
    cell = make_cell("counting")
    stale = program("counting")
    until(lambda: list(folder.cell_folder(cell.key).glob("1-*")))
    stale.send_signal(signal.SIGSTOP)
    seem_abandoned(folder)
    run_all([cell], tmp_path, workers=workers)
    mine = folder.read(cell.key)
    stale.send_signal(signal.SIGCONT)
    output, errors = stale.communicate(timeout=300)
    assert output == "done 1\n"
    assert re.search("was (taken over|recorded) by another run", errors)  # as far as it came before it was stopped
    assert folder.read(cell.key) == mine
    assert published_by(folder, cell.key) == (
        {str(mine.environment["process"])},
        {"counts.parquet", "samples/last.png"},
    )


@pytest.mark.parametrize(("miou", "outcome"), [(0.5, "same bits"), (0.25, "not reproduced")])
def test_what_comes_out_after_another_run_has_recorded_the_cell_is_a_check_of_its_record(
    tmp_path, workers, folder, miou, outcome, monkeypatch
):
    cell = make_cell("plain", timing=None)
    monkeypatch.setattr("segbench.execute.judge.read_cell", lambda record: cell)
    (recorded,) = run_all([cell], tmp_path / "other", workers=workers).records
    theirs = recorded.model_copy(update={"scores": recorded.scores.model_copy(update={"miou": miou})})

    def record_first(key):
        folder.write(theirs)
        files_of(folder.path, theirs).mkdir()

    watcher = Intruder(record_first)
    assert run_all([cell], tmp_path, workers=workers, listener=watcher).records == (theirs,)
    assert folder.read(cell.key) == theirs
    assert read_verification(files_of(folder.path, theirs), theirs).outcome == outcome
    assert len(list(folder.cell_folder(cell.key).glob("*-*"))) == 1
    assert watcher.notices[0].startswith("data / plain / seed 0 was recorded by another run, and came out here too")


class Intruder(NoProgress):
    """Does something to a cell once its worker has started."""

    def __init__(self, intrude):
        self.intrude, self.notices = [intrude], []

    def started(self, activity, cell):
        if activity == "cell" and self.intrude:
            self.intrude.pop()(cell.key)

    def notice(self, message):
        self.notices.append(message)


def test_a_checkpoint_saved_after_another_run_has_recorded_the_cell_is_removed(tmp_path, workers, folder):
    cell = make_cell("counting")
    (recorded,) = run_all([cell], tmp_path / "other", workers=workers).records

    def take_over(key):
        folder.write(recorded)
        for attempt in folder.cell_folder(key).glob("1-*"):
            (attempt / CHECKPOINT).touch()
        lease_of(folder).unlink()

    assert run_all([cell], tmp_path, workers=workers, listener=Intruder(take_over)).records == (recorded,)
    assert list(folder.cell_folder(cell.key).rglob(CHECKPOINT)) == []


@pytest.mark.parametrize("which", ["claims/*.json", "*/.1.lease"])
def test_a_cell_whose_lease_was_removed_begins_anew(tmp_path, workers, folder, which):
    cell = make_cell("counting")
    watcher = Intruder(lambda key: [path.unlink() for path in folder.path.glob(which)])
    assert statuses(run_all([cell], tmp_path, workers=workers, listener=watcher)) == {"counting": "ok"}
    (notice,) = watcher.notices
    assert notice.startswith("data / counting / seed 0 begins anew, as its lease ")
    assert notice.endswith(f"{folder.cell_folder(cell.key)}/.1.lease was removed")
    assert len(published_by(folder, cell.key)[0]) == 1


def test_a_cell_gets_the_folder_of_its_upstream_cell(tmp_path, workers):
    first = make_cell("plain")
    cells = [first, make_cell("child", upstream=first)]
    assert statuses(run_all(cells, tmp_path, workers=workers, jobs=2)) == {"plain": "ok", "child": "ok"}


def test_what_needs_a_failed_cell_is_skipped_and_tried_again_later(tmp_path, workers):
    first = make_cell("fails-once")
    second = make_cell("child", upstream=first)
    cells = [first, second, make_cell("grandchild", upstream=second)]
    summary = run_all(cells, tmp_path, workers=workers)
    assert statuses(summary) == {"fails-once": "failed", "child": "skipped", "grandchild": "skipped"}
    expected = "start_from needs 'fails-once' with seed 0, which is failed: RuntimeError: the first time"
    assert summary.records[1].error.cause == expected
    assert set(statuses(run_all(cells, tmp_path, workers=workers)).values()) == {"ok"}


def test_seconds_that_were_measured_on_a_shared_gpu_are_no_budget(tmp_path, workers, folder):
    first = make_cell("plain")
    cell = make_cell("timed", budget=Budget(like="plain")).model_copy(update={"upstream": {"budget": first.key}})
    (recorded,) = run_all([first], tmp_path, workers=workers).records
    folder.write(recorded.model_copy(update={"environment": {"device": "cuda:0", "jobs": 2}}))
    summary = run_all([first, cell], tmp_path, workers=workers)
    assert statuses(summary) == {"plain": "ok", "timed": "skipped"}
    assert summary.records[1].error.cause == (
        "its budget is the time that 'plain' with seed 0 took beside others on one GPU; "
        f"move {first.key}.json away and run with --jobs 1"
    )


def test_a_cell_that_another_run_has_leased_is_waited_for_and_its_record_counts(tmp_path, workers, program, until):
    class Waits(NoProgress):
        def notice(self, message):
            assert message == "another run works on some of these cells; their records will count here"
            (tmp_path / "go on").touch()

    program("waiting")
    until(lambda: ran(tmp_path))
    summary = run_all(make_cells(["waiting", "plain"]), tmp_path, workers=workers, listener=Waits())
    assert statuses(summary) == {"waiting": "ok", "plain": "ok"}
    assert len(ran(tmp_path)) == 2


def test_two_runs_at_once_share_the_cells(tmp_path, program):
    runs = [program("slow,plain", seeds=3) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in runs]
    assert [output for output, _ in outputs] == ["done 6\n"] * 2
    assert sorted(ran(tmp_path)) == sorted(cell.key for cell in make_cells(["slow", "plain"], seeds=3))
    assert sorted(timed(tmp_path)) == ["plain", "slow"]


def test_a_failure_of_another_run_meanwhile_counts_and_one_from_before_does_not(tmp_path, workers):
    cells = make_cells(["fails-once"])
    run_all(cells, tmp_path, workers=workers)
    folder, key = ResultsFolder(tmp_path, "bench"), cells[0].key
    failed, mine = folder.read(key), acquire(folder, key)

    class OtherRun(NoProgress):
        notices = ()

        def notice(self, message):
            self.notices += (message,)
            folder.write(failed)
            mine.release()

    other = OtherRun()
    assert statuses(run_all(cells, tmp_path, workers=workers, listener=other)) == {"fails-once": "failed"}
    assert other.notices == ("another run works on some of these cells; their records will count here",)
    assert len(ran(tmp_path)) == 1
