"""`segbench run --on command` with real workers, and `--on slurm` with another program called sbatch."""

from __future__ import annotations

import json
import os

import pytest

from segbench.cli import elsewhere
from segbench.store.folder import ResultsFolder
from segbench.store.run_file import read_run_file

BENCHMARK = """
name: tiny
datasets: {shapes: {use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}
protocol: {budget: {steps: 2}, batch_size: 2, threads: 3, timing: none}
seeds: [0, 1]
methods:
  plain: {generator: {use: basic/fcn, width: 2}, losses: [losses/cross_entropy]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(BENCHMARK)
    monkeypatch.setattr(elsewhere, "_LOOK_SECONDS", 0.1)
    return tmp_path


@pytest.fixture
def sbatch(folder, monkeypatch):
    """Put a program called sbatch on PATH, whose text this is."""

    def sbatch(text):
        (folder / "bin").mkdir()
        (folder / "bin" / "sbatch").write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / "sbatch").chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return sbatch


def test_workers_that_a_command_starts_share_the_cells(folder, segbench):
    command = [
        "run",
        "tiny.yaml",
        "--on",
        "command",
        "--device",
        "cpu",
        "--command",
        "sh -c {worker}",
        "--workers",
        "9",
    ]
    done = segbench(folder, *command)
    assert done.returncode == 0, done.stderr
    assert "mIoU" in done.stdout
    assert "worker 1, worker 2 ended with 0 (nothing was left to take)" in done.stderr
    assert "tiny · 2 of 2 cells done" in done.stderr
    results = folder / "results" / "tiny"
    assert len([path for path in results.glob("*.json") if json.loads(path.read_text())["status"] == "ok"]) == 2
    logs = [(results / "launches" / "1" / f"worker-{number}.log").read_text() for number in (1, 2)]
    assert "".join(logs).count(": started") == 2
    assert all("nothing is left to take: 2 cells are recorded" in log for log in logs)

    again = segbench(folder, *command)
    assert (again.returncode, again.stdout.splitlines()[:3]) == (0, done.stdout.splitlines()[:3])
    assert not (results / "launches" / "2").exists()


@pytest.mark.slow
def test_a_machine_with_several_devices_has_a_worker_on_each(folder, segbench):
    done = segbench(folder, "run", "tiny.yaml", "--devices", "cpu, cuda:99")
    assert done.returncode == 0, done.stderr
    assert "worker 1 ended with 0 (nothing was left to take)" in done.stderr
    assert "worker 2 ended with 2; the last lines of worker 2:\n" in done.stderr
    assert "cuda:99" in done.stderr.partition("worker 2 ended")[2]
    assert "mIoU" in done.stdout


def test_where_no_command_starts_a_worker_their_last_words_are_shown(folder, segbench):
    done = segbench(
        folder, "run", "tiny.yaml", "--on", "command", "--command", "no-such-ssh {worker}", "--workers", "2"
    )
    assert done.returncode == 2
    assert "error: no worker came to an end of its work" in done.stderr
    assert "worker 1, worker 2 ended with 127 (the command was not found)" in done.stderr
    assert "no-such-ssh" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_command_that_only_submits_is_told_from_one_that_works(folder, segbench):
    done = segbench(folder, "run", "tiny.yaml", "--on", "command", "--command", "true {worker}")
    assert done.returncode == 1
    assert "cells are left: if the command only submits workers to a queue, follow them with" in done.stderr


def test_an_array_job_is_submitted_and_followed_by_watch(folder, segbench, sbatch):
    sbatch("echo 12")
    done = segbench(folder, "run", "tiny.yaml", "--on", "slurm", "--workers", "9", "--time", "1:00:00", "--jobs", "2")
    assert (done.returncode, done.stdout) == (0, "")
    assert "SLURM job 12 has 2 workers" in done.stderr
    assert f"follow it with: segbench watch {os.path.join('results', 'tiny')}" in done.stderr
    assert "cancel it with: scancel 12" in done.stderr
    script = (folder / "results" / "tiny" / "launches" / "1" / "job.sh").read_text()
    assert "#SBATCH --time=1:00:00" in script
    assert "#SBATCH --cpus-per-task=6" in script
    assert " -m segbench worker tiny.yaml --results=results --device=auto --jobs=2 " in script
    assert read_run_file(ResultsFolder(folder / "results", "tiny")).elsewhere == "SLURM job 12"
    shown = segbench(folder, "watch", "results", "--once").stdout
    assert "2 to do · SLURM job 12 goes on: it waits, or tries or times methods" in shown


def test_workers_measure_by_themselves_how_many_cells_fit(folder, segbench, sbatch):
    sbatch("echo 12")
    assert segbench(folder, "run", "tiny.yaml", "--on", "slurm", "--jobs", "auto").returncode == 0
    script = (folder / "results" / "tiny" / "launches" / "1" / "job.sh").read_text()
    assert "#SBATCH --cpus-per-task=3" in script
    assert " --jobs=auto " in script


def test_a_job_that_slurm_refuses_is_an_error(folder, segbench, sbatch):
    sbatch("echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    done = segbench(folder, "run", "tiny.yaml", "--on", "slurm", "--partition", "x")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2] == (
        "error: sbatch refused the job: sbatch: error: invalid partition specified: x"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--partition", "gpu"], "--partition is for --on slurm, not for --on local"),
        (["--on", "command"], "--on command needs --command TEMPLATE: {worker} in it stands for"),
        (["--on", "moon"], "moon"),
        (["--on", "command", "--devices", "cpu,cpu"], "--devices is for --on local, not for --on command"),
        (["--devices", "cpu, cpu"], "--devices cpu, cpu: name each once; --jobs-per-device N lets cells share one"),
        (["--devices", "cpu,cpu", "--device", "cpu"], "--devices cpu,cpu goes neither with --device nor with --track"),
    ],
)
def test_options_that_make_no_way_are_refused(folder, segbench, arguments, message):
    done = segbench(folder, "run", "tiny.yaml", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
