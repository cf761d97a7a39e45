"""The simulation of many workers: small, by the rules of the program."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from segbench.execute.search import MOST_MISSES
from segbench.store.folder import ResultsFolder

HARNESS = Path(__file__).parents[1] / "benchmarks" / "harness"
WORKERS, CELLS, SECONDS = 50, 2000, 60.0


@pytest.fixture
def script(monkeypatch):
    """Import a script of benchmarks/harness, which finds the others beside itself."""
    monkeypatch.syspath_prepend(str(HARNESS))
    return importlib.import_module


@pytest.fixture
def simulate(script, tmp_path):
    """Simulate a case with other settings, and return its campaign."""
    many_workers = script("many_workers")
    steps = script("store_operations").count_operations(tmp_path)
    cases = {case.name: case for case in many_workers.CASES}

    def run(name, **settings):
        return many_workers.simulate(replace(cases[name], **settings), WORKERS, CELLS, SECONDS, steps)

    return run


def test_nothing_is_lost_where_nothing_fails_and_every_cell_is_computed_once(simulate):
    campaign = simulate("calm")
    assert (campaign.lost, campaign.counts["refused"], campaign.counts["cut"]) == (0, 0, 0)
    assert campaign.useful == pytest.approx(CELLS * SECONDS, rel=0.01)


def test_workers_find_cells_with_few_questions_and_few_listings(simulate):
    campaign = simulate("calm")
    misses = campaign.counts["ask for a recorded cell"] + campaign.counts["ask for a cell that another one has"]
    assert misses < MOST_MISSES * CELLS
    assert campaign.counts["folder listings"] < 4 * WORKERS


@pytest.mark.parametrize("case", ["deaths", "halts"])
def test_less_than_a_hundredth_of_the_work_is_lost_with_workers_that_end_or_halt(simulate, case):
    campaign = simulate(case, stale=0.0)
    assert campaign.counts["deaths"] + campaign.counts["halts"] > 0
    assert 0 <= campaign.lost < 0.01 * campaign.useful


def test_what_is_computed_twice_as_names_are_seen_late_is_recorded_once(simulate):
    campaign = simulate("all")
    assert campaign.counts["refused"] > 0
    assert campaign.counts["records"] == CELLS


def test_a_step_costs_what_the_system_is_asked_for(script, tmp_path):
    counting = script("store_operations").Counting(tmp_path)
    file = tmp_path / "file"
    with counting.step() as counts:
        file.write_text("a")
        file.read_text()
        file.stat()
        os.listdir(tmp_path)
        os.link(file, tmp_path / "other")
        Path(__file__).read_text()
    assert counts == {"writes": 2, "reads": 1, "lookups": 1, "listings": 1}


def test_asking_for_a_cell_reads_nothing_of_the_others(script, tmp_path):
    """What a step costs must not grow with the folder."""
    few = script("store_operations").count_operations(tmp_path)
    results = ResultsFolder(tmp_path / "large", "b")
    results.path.mkdir(parents=True)
    for number in range(100, 200):
        (results.path / f"{number:016x}.json").write_text("{}")
    assert script("store_operations").count_operations(tmp_path / "large") == few
