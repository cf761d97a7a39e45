"""Which cell of other machines a process without work overtakes."""

from __future__ import annotations

import json

import pytest
from run_functions import make_cell, make_cells, run_all

from segbench.config.protocol import Budget
from segbench.execute import stragglers
from segbench.execute.jobs import unfinished_record
from segbench.execute.progress import NoProgress
from segbench.execute.stragglers import Stragglers
from segbench.store import leases
from segbench.store.attempt import begin_attempt
from segbench.store.folder import EVENTS, ResultsFolder
from segbench.store.leases import Leases
from segbench.store.record import Failure, Train

DONE, SLOW, OTHER = make_cells(["net"], seeds=3)


@pytest.fixture
def folder(tmp_path):
    return ResultsFolder(tmp_path, "bench")


@pytest.fixture
def clock(monkeypatch):
    """The seconds of this machine, which a test sets."""
    clock = [0.0]
    monkeypatch.setattr(stragglers.time, "monotonic", lambda: clock[0])
    return clock


def record(seconds):
    train = Train(steps=100, seconds=seconds, images_per_second=None)
    made = unfinished_record(DONE, "failed", Failure(cause="none"), {})
    return {DONE.key: made.model_copy(update={"status": "ok", "error": None, "train": train})}


class Elsewhere:
    """The process of another machine, and the cells that it works on."""

    def __init__(self, folder):
        self.folder, self.leases = folder, Leases(folder)
        self.leases._owner = leases.Owner(**{**vars(self.leases._owner), "host": "elsewhere", "machine": "elsewhere"})
        self.places = {}

    def begin(self, cell):
        self.places[cell.key] = begin_attempt(self.folder, self.leases.acquire(cell.key))

    def step(self, cell, step):
        event = {"time": 0.0, "event": "step", "step": step, "steps": 100}
        with (self.places[cell.key] / EVENTS).open("a") as file:
            file.write(f"{json.dumps(event)}\n")


@pytest.fixture
def elsewhere(folder):
    return Elsewhere(folder)


def watch(folder, clock, elsewhere, cells, usual=200.0, **steps):
    """Return what is found of cells that are so far at 0 s and at 300 s, where a whole one took `usual` seconds."""
    found = Stragglers(folder, {cell.key: cell for cell in [DONE, *cells]})
    keys, told = [cell.key for cell in cells], []
    for clock[0], stage in ((0.0, 0), (300.0, 1)):
        for cell in cells:
            elsewhere.step(cell, steps[f"seed{cell.seed}"][stage])
        told.append(found.find_slowest(keys, record(usual)))
    assert told[0] is None
    return told[1]


# 300 s for 50 steps leave 300 s for the rest, 1.5 times the 200 s; 300 s for 51 leave less.
@pytest.mark.parametrize(("then", "is_slow"), [(50, True), (51, False), (100, False), (0, True)])
def test_a_cell_is_slow_if_it_will_last_by_far_longer_than_a_whole_one(folder, clock, elsewhere, then, is_slow):
    elsewhere.begin(SLOW)
    assert (watch(folder, clock, elsewhere, [SLOW], seed1=(0, then)) == SLOW.key) is is_slow


@pytest.mark.parametrize(("usual", "is_slow"), [(19_800.0, True), (19_801.0, False)])
def test_of_cells_that_take_hours_minutes_tell_it_too(folder, clock, elsewhere, usual, is_slow):
    elsewhere.begin(SLOW)
    assert (watch(folder, clock, elsewhere, [SLOW], usual, seed1=(0, 1)) == SLOW.key) is is_slow  # 29,700 s are left


def test_the_slowest_comes_first_and_each_once(folder, clock, elsewhere):
    for cell in (SLOW, OTHER):
        elsewhere.begin(cell)
    found = Stragglers(folder, {cell.key: cell for cell in (DONE, SLOW, OTHER)})
    keys = [SLOW.key, OTHER.key]
    assert found.find_slowest(keys, record(200.0)) is None
    clock[0] = 300.0
    elsewhere.step(SLOW, 10)
    elsewhere.step(OTHER, 5)
    assert found.find_slowest(keys, record(200.0)) == OTHER.key
    assert found.find_slowest(keys, record(200.0)) is None  # at once again
    clock[0] = 330.0
    assert found.find_slowest(keys, record(200.0)) == SLOW.key
    clock[0] = 360.0
    assert found.find_slowest(keys, record(200.0)) is None


def test_a_cell_that_somebody_overtakes_already_is_left_alone(folder, clock, elsewhere):
    elsewhere.begin(SLOW)
    assert Leases(folder).join(SLOW.key) is not None
    assert watch(folder, clock, elsewhere, [SLOW], seed1=(0, 1)) is None


def test_so_is_one_of_this_machine(folder, clock, elsewhere):
    here = Elsewhere(folder)
    here.leases = Leases(folder)
    here.begin(SLOW)
    assert watch(folder, clock, here, [SLOW], seed1=(0, 1)) is None


def test_so_is_one_of_which_nobody_knows_how_long_it_takes(folder, clock, elsewhere):
    elsewhere.begin(SLOW)
    found = Stragglers(folder, {SLOW.key: SLOW})
    for clock[0] in (0.0, 300.0):
        assert found.find_slowest([SLOW.key], {}) is None


@pytest.mark.parametrize("budget", [Budget(seconds=5.0), Budget(like="other")])
def test_cells_whose_seconds_count_are_never_overtaken(folder, clock, elsewhere, budget):
    measured = make_cell("measured", budget=budget)
    needed_by = OTHER.model_copy(update={"upstream": {"budget": SLOW.key}})
    for cell in (measured, SLOW):
        elsewhere.begin(cell)
    cells = {cell.key: cell for cell in (DONE, SLOW, measured, needed_by)}
    found = Stragglers(folder, cells)
    records = {**record(200.0), "0" * 16: record(200.0)[DONE.key].model_copy(update={"method": "measured"})}
    for clock[0] in (0.0, 300.0):
        assert found.find_slowest([measured.key, SLOW.key], records) is None


class Notices(NoProgress):
    def __init__(self):
        self.told = []

    def notice(self, message):
        self.told.append(message)


def test_a_run_without_work_overtakes_a_slow_cell_and_records_it(tmp_path, workers, folder, elsewhere, monkeypatch):
    monkeypatch.setattr(stragglers, "_WATCH_SECONDS", 0.0)
    monkeypatch.setattr(stragglers, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(leases, "STALE_SECONDS", 3600.0)
    first, second = make_cells(["plain"], seeds=2)
    run_all([first], tmp_path, workers=workers)
    elsewhere.begin(second)
    listener = Notices()
    summary = run_all([first, second], tmp_path, workers=workers, listener=listener)
    assert [record.status for record in summary.records] == ["ok", "ok"]
    assert summary.records[1].attempt.startswith("1-")
    assert summary.records[1].attempt != elsewhere.places[second.key].name
    assert (
        "data / plain / seed 1 is slow elsewhere and begun here too; the first to finish is recorded" in listener.told
    )
    assert not elsewhere.places[second.key].exists()
