"""`segbench worker`, as the commands of `segbench run --on` call it."""

from __future__ import annotations

import signal

import pytest

from segbench.execute.run import describe_cells
from segbench.plan.plan import open_plan
from segbench.store.run_file import describe_run, write_run_file

from ..conftest import SEGBENCH, ended, records  # noqa: TID252 - tests have no absolute name

BENCHMARK = """
name: tiny
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}}}
protocol: {{budget: {{steps: {steps}}}, batch_size: 2, timing: none}}
seeds: [0]
methods:
  plain: {{generator: {{use: basic/fcn, width: 2}}, losses: [losses/cross_entropy]}}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a benchmark and with the plan of a run of it, whose cells have two threads."""
    (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=2))
    plan = open_plan(str(tmp_path / "tiny.yaml"), threads=2)
    write_run_file(tmp_path / "plan.json", describe_run(*describe_cells(plan.cells)))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--threads", "3"], "cells have 3 threads here, 2 there (--threads)"),
        (["--threads", "2", "--seeds", "5"], "the run does not have shapes / plain / seed 5"),
        (["--threads", "2", "--set", "protocol.batch_size=4"], "the recipe of 'plain' differs"),
        (["--threads", "2", "--set", "datasets.shapes.train=9"], "the data of 'shapes' differs"),
    ],
)
def test_a_worker_refuses_another_plan_than_that_of_the_run(folder, segbench, arguments, reason):
    done = segbench(folder, "worker", "tiny.yaml", "--plan", "plan.json", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[2] == reason
    assert not (folder / "results").exists()


def test_a_worker_that_cannot_read_the_plan_says_so(folder, segbench):
    done = segbench(folder, "worker", "tiny.yaml", "--plan", "elsewhere.json")
    assert done.returncode == 2
    assert "error: --plan elsewhere.json: what a run has planned cannot be read there" in done.stderr


@pytest.mark.slow
def test_a_worker_whose_time_is_up_ends_with_75_and_another_goes_on(tmp_path, start, until):
    (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=800))
    command = [*SEGBENCH, "worker", "tiny.yaml", "--device", "cpu"]
    process = start(*command, cwd=tmp_path)
    until(lambda: any('"step"' in file.read_text() for file in tmp_path.rglob("events.jsonl")))
    process.send_signal(signal.SIGUSR1)
    code, _, err = ended(process)
    assert (code, err.splitlines()[-1]) == (75, "the time is up while cells are left")
    code, *_ = ended(start(*command, cwd=tmp_path))
    assert (code, records(tmp_path)["plain"]["train"]["steps"]) == (0, 800)
