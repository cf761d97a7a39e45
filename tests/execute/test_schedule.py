"""Sharing a results folder with other runs."""

from __future__ import annotations

import pytest
from run_functions import make_cell

from segbench.execute import schedule
from segbench.execute.jobs import unfinished_record
from segbench.execute.schedule import SharedCells
from segbench.store.folder import ResultsFolder
from segbench.store.leases import acquire
from segbench.store.record import Failure

CELL = make_cell("unet")
KEY = CELL.key


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "bench")


def record(status):
    return unfinished_record(CELL, status, Failure(cause="it did"), {})


def test_a_leased_cell_is_nobody_elses_until_it_is_released(folder):
    with SharedCells(folder, [KEY]) as mine:
        assert mine.lease(KEY)
        assert acquire(folder, KEY) is None
    assert acquire(folder, KEY) is not None


def test_a_cell_that_another_run_has_is_looked_at_again_only_after_a_while(folder, monkeypatch):
    other = acquire(folder, KEY)
    mine = SharedCells(folder, [KEY])
    assert mine.is_due(KEY)
    assert not mine.lease(KEY)
    assert not mine.is_due(KEY)
    monkeypatch.setattr(schedule, "_ASK_AGAIN_SECONDS", 0.0)
    assert not mine.lease(KEY)
    other.release()
    assert mine.is_due(KEY)
    assert mine.lease(KEY)


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
    monkeypatch.setattr(schedule, "_RENEW_SECONDS", 0.0)
    mine = SharedCells(folder, [KEY])
    mine.lease(KEY)
    assert mine.renew() == []
    path = folder.lease_folder / f"{KEY}.json"
    path.unlink()
    acquire(folder, KEY)
    assert mine.renew() == [KEY]
    mine.release(KEY)
    assert path.exists()
