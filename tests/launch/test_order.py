from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from segbench.errors import RecordError
from segbench.execute.pull import claim_try
from segbench.launch.order import Order
from segbench.store.folder import ResultsFolder
from segbench.store.run_file import read_run, read_run_file

from .conftest import make_cell


@pytest.fixture
def order(tmp_path):
    options = {"set": ("a=1", "b='x y'"), "seeds": None, "jobs": 2, "only": ()}
    return Order("my file.yaml", options, [make_cell()], ResultsFolder(tmp_path / "results", "bench"))


def test_launches_are_counted_and_hold_what_is_planned(order):
    first, second = order.make_place(), order.make_place()
    assert [place.name for place in (first, second)] == ["1", "2"]
    planned = read_run(second / "plan.json")
    assert [one.key for one in planned.cells] == [one.key for one in order.cells]
    assert list(planned.specs) == [order.cells[0].key]


def test_the_workers_of_a_new_launch_try_methods_again(order):
    assert claim_try(order.folder, "0" * 16)
    order.make_place()
    assert claim_try(order.folder, "0" * 16)
    assert not claim_try(order.folder, "0" * 16)


def test_a_results_folder_that_cannot_be_written_to_is_told(order):
    order.folder.root.touch()
    with pytest.raises(RecordError, match="cannot write to the results folder"):
        order.make_place()


def test_a_shell_starts_the_worker_here_with_its_options_and_variables(order, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGBENCH_DATA", "/my data")
    line = order.worker_line(tmp_path / "place")
    shown = "import json, os, sys; print(json.dumps([os.getcwd(), os.environ['SEGBENCH_DATA'], sys.argv[1:]]))"
    line = line.replace("-P -m segbench", f"-c {shlex.quote(shown)}")
    found = json.loads(subprocess.run(["sh", "-c", line], capture_output=True, check=True, cwd="/").stdout)
    worker = [
        "worker",
        "my file.yaml",
        "--set=a=1",
        "--set=b='x y'",
        "--jobs=2",
        f"--plan={tmp_path / 'place/plan.json'}",
    ]
    assert found == [str(tmp_path), "/my data", worker]
    assert sys.executable in line


def test_a_worker_may_be_told_its_device(order, tmp_path):
    line = order.on("cuda:1").worker_line(tmp_path)
    assert "--jobs=2 --device=cuda:1 " in line
    assert "--device" not in order.worker_line(tmp_path)


def test_where_workers_outlive_this_process_it_is_told_what_they_belong_to(order):
    order.folder.path.mkdir(parents=True)
    order.announce("SLURM job 12")
    told = read_run_file(order.folder)
    assert (told.elsewhere, told.ended, len(told.cells)) == ("SLURM job 12", None, 1)
    assert order.unfinished() == order.cells
