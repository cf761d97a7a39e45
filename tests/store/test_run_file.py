from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from segbench.store import run_file
from segbench.store.folder import ResultsFolder
from segbench.store.run_file import RUN_FILE, PlannedCell, announce_run, is_over, read_run_file

CELLS = [PlannedCell(key="0" * 16, dataset="data", subset="all", method="unet", seed=0)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bench").mkdir()
    return ResultsFolder(tmp_path, "bench")


def test_a_run_is_told_while_it_lasts_and_after(folder):
    with announce_run(folder, CELLS):
        told = read_run_file(folder)
        assert (list(told.cells), is_over(folder, told, 0.0)) == (CELLS, False)
    assert is_over(folder, read_run_file(folder), 0.0)


def test_of_two_runs_the_one_that_began_last_is_told(folder):
    with announce_run(folder, CELLS):
        with announce_run(folder, []):
            pass
        last = read_run_file(folder)
    assert read_run_file(folder) == last


def test_a_run_whose_process_is_dead_is_over(folder):
    with announce_run(folder, CELLS):
        told = read_run_file(folder)
    owner = told.owner
    dead = told.model_copy(update={"ended": None, "owner": replace(owner, started=1)})
    assert is_over(folder, dead, 0.0)


def test_a_run_elsewhere_is_over_when_it_has_been_silent(folder):
    with announce_run(folder, CELLS):
        told = read_run_file(folder)
    elsewhere = told.model_copy(update={"ended": None, "owner": replace(told.owner, machine="elsewhere")})
    now = (folder.path / RUN_FILE).stat().st_mtime
    assert [is_over(folder, elsewhere, now + after) for after in (60.0, 130.0)] == [False, True]


def test_a_run_shows_that_it_goes_on(folder):
    path, turns = folder.path / RUN_FILE, [False, True]
    path.touch()
    os.utime(path, (0, 0))
    ended = SimpleNamespace(wait=lambda seconds: turns.pop(0))
    run_file._renew(path, ended)
    assert path.stat().st_mtime > 0


def test_a_file_that_cannot_be_read_or_written_stops_nobody(folder):
    (folder.path / RUN_FILE).write_text('{"cells": 1}')
    assert read_run_file(folder) is None
    (folder.root / "file").touch()
    with announce_run(ResultsFolder(folder.root, "file"), CELLS):
        assert read_run_file(ResultsFolder(folder.root, "file")) is None


def test_the_file_is_no_record(folder):
    with announce_run(folder, CELLS):
        assert folder.records() == []
        assert folder.problems == []
