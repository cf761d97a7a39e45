"""Sharing a results folder with other runs."""

from __future__ import annotations

import pytest
from run_functions import make_cell

from segbench.execute import schedule as sharing
from segbench.execute.jobs import unfinished_record
from segbench.execute.schedule import Shares
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


def test_a_claimed_cell_is_nobody_elses_until_it_is_released(folder):
    with Shares(folder, [KEY]) as mine:
        assert mine.take(KEY)
        assert acquire(folder, KEY) is None
    assert acquire(folder, KEY) is not None


def test_a_cell_that_another_run_has_is_looked_at_again_only_after_a_while(folder, monkeypatch):
    other = acquire(folder, KEY)
    mine = Shares(folder, [KEY])
    assert mine.is_due(KEY)
    assert not mine.take(KEY)
    assert not mine.is_due(KEY)
    monkeypatch.setattr(sharing, "_ASK_AGAIN_SECONDS", 0.0)
    assert not mine.take(KEY)
    other.release()
    assert mine.is_due(KEY)
    assert mine.take(KEY)


@pytest.mark.parametrize(("status", "counts"), [("failed", True), ("skipped", True), ("interrupted", False)])
def test_what_was_recorded_since_the_start_counts_unless_it_was_interrupted(folder, status, counts):
    shares = Shares(folder, [KEY])
    assert shares.news(KEY) is None
    folder.write(record(status))
    assert (shares.news(KEY) is not None) == counts


def test_a_failure_from_before_is_no_news_but_an_ok_record_is(folder):
    folder.write(record("failed"))
    assert Shares(folder, [KEY]).news(KEY) is None
    folder.write(record("failed").model_copy(update={"status": "ok"}))
    assert Shares(folder, [KEY]).news(KEY).status == "ok"


def test_a_claim_that_another_run_took_over_is_lost_and_not_released(folder, monkeypatch):
    monkeypatch.setattr(sharing, "_BEAT_SECONDS", 0.0)
    mine = Shares(folder, [KEY])
    mine.take(KEY)
    assert mine.lost() == []
    path = folder.lease_folder / f"{KEY}.json"
    path.unlink()
    acquire(folder, KEY)
    assert mine.lost() == [KEY]
    mine.release(KEY)
    assert path.exists()
