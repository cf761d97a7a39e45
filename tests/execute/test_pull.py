"""Workers of a run elsewhere: real worker processes, and cells that do what their method's name says."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
from run_functions import FUNCTIONS, make_cell, make_cells, ran, run_all, statuses, timed

from segbench.errors import RecordError
from segbench.execute import search
from segbench.execute.jobs import unfinished_record
from segbench.execute.progress import NoProgress
from segbench.execute.pull import Pull, claim_try
from segbench.execute.time_limit import TimeLimit
from segbench.store.folder import ResultsFolder
from segbench.store.record import Failure
from segbench.store.run_file import read_run_file

ACCEPT = replace(FUNCTIONS, preflight="worker_functions:accept")


def pull(cells, results, began=0, limit=None, **settings):
    return run_all(cells, results, pull=Pull(limit or TimeLimit(), began), **settings)


def test_a_worker_runs_and_times_cells_and_says_nothing_of_a_plan(tmp_path, workers):
    summary = pull(make_cells(["plain"]), tmp_path, workers=workers)
    assert statuses(summary) == {"plain": "ok"}
    assert timed(tmp_path) == ["plain"]
    assert read_run_file(ResultsFolder(tmp_path, "bench")) is None


def test_a_method_is_tried_by_one_worker_of_all(tmp_path, workers):
    pull(make_cells(["plain"]), tmp_path, workers=workers, functions=ACCEPT)
    pull(make_cells(["plain", "other"], seeds=2), tmp_path, workers=workers, functions=ACCEPT)
    assert (tmp_path / "bench" / "preflights").read_text().split() == ["plain", "other"]
    assert len(ran(tmp_path)) == 4


def test_what_another_worker_of_the_run_has_failed_is_not_tried_again(tmp_path, workers):
    cells = make_cells(["raise"])
    run_all(cells, tmp_path, workers=workers)
    failed = ResultsFolder(tmp_path, "bench").existing_path(cells[0].key).stat().st_mtime_ns
    assert statuses(pull(cells, tmp_path, began=failed, workers=workers)) == {"raise": "failed"}
    assert len(ran(tmp_path)) == 1
    pull(cells, tmp_path, began=failed + 1, workers=workers)
    assert len(ran(tmp_path)) == 2


class FinishingTheOthers(NoProgress):
    """Records all other cells, as other workers, once the first one is begun here."""

    def __init__(self, cells, folder):
        self.cells, self.folder, self.ended_with = cells, folder, []

    def started(self, activity, cell):
        for other in self.cells if activity == "cell" else ():
            if other.key != cell.key:
                record = unfinished_record(other, "failed", Failure(cause="none"), {})
                self.folder.write(record.model_copy(update={"status": "ok", "error": None}))

    def ended(self, activity, cell, status, failure):
        if activity == "cell":
            self.ended_with.append(status)


def test_of_many_cells_that_others_have_finished_a_worker_reads_few_and_ends(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(search, "MOST_MISSES", 2)
    monkeypatch.setattr(search, "LIST_SECONDS", 0.0)
    cells = make_cells(["plain"], seeds=9)
    listener = FinishingTheOthers(cells, ResultsFolder(tmp_path, "bench"))
    summary = pull(cells, tmp_path, workers=workers, listener=listener)
    assert len(ran(tmp_path)) == 1
    assert listener.ended_with == ["ok"] * 9
    assert len(summary.records) == 3
    assert not summary.interrupted


class TimeIsUp(NoProgress):
    """Says that the time of this process is up once a cell trains."""

    def reported(self, activity, cell, event):
        if activity == "cell" and event.name == "stage":
            os.kill(os.getpid(), signal.SIGUSR1)


def test_a_worker_whose_time_is_up_saves_its_cells_and_another_goes_on(tmp_path, workers):
    cells, limit = [make_cell("patient")], TimeLimit()
    with limit.listening():
        summary = pull(cells, tmp_path, limit=limit, workers=workers, listener=TimeIsUp())
    assert (summary.interrupted, limit.is_up, statuses(summary)) == (True, True, {"patient": "interrupted"})
    assert not list((tmp_path / "bench" / "claims").glob("*.json"))
    assert statuses(pull(cells, tmp_path, workers=workers)) == {"patient": "ok"}


def test_of_all_workers_one_tries_a_method(tmp_path):
    assert claim_try(ResultsFolder(tmp_path, "bench"), "0" * 16)
    assert not claim_try(ResultsFolder(tmp_path, "bench"), "0" * 16)
    assert claim_try(ResultsFolder(tmp_path, "bench"), "1" * 16)


def test_a_folder_in_which_no_try_can_be_claimed_is_named(tmp_path):
    (tmp_path / "bench").touch()
    with pytest.raises(RecordError, match="cannot write to the results folder"):
        claim_try(ResultsFolder(tmp_path, "bench"), "0" * 16)
