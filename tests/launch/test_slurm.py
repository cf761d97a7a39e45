"""The script of an array job, run by bash as SLURM would, and programs called sbatch and squeue in the place of its."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from segbench.errors import CellError
from segbench.launch import slurm
from segbench.launch.ends import End
from segbench.launch.slurm import Slurm, submit, write_script

from .conftest import make_cell


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on PATH; each is the text of a shell script, which may use $calls, a file."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def programs(**texts):
        for name, text in texts.items():
            (folder / name).write_text(f"#!/bin/sh\ncalls={calls}\n{text}\n")
            (folder / name).chmod(0o755)
        return calls

    return programs


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "launches" / "1"
    place.mkdir(parents=True)
    return place


def test_the_script_holds_what_is_asked_for():
    settings = Slurm(partition="gpu", time="4:00:00", gres="gpu:1", cpus=8, mem="32G", lines=("--account=vision",))
    head = write_script(settings, "my net", "exec worker").partition("\n\n")[0]
    assert head.splitlines() == [
        "#!/bin/bash",
        "#SBATCH --no-requeue",
        "#SBATCH --job-name=segbench-my-net",
        "#SBATCH --output=%A_%a.log",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --partition=gpu",
        "#SBATCH --time=4:00:00",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=32G",
        "#SBATCH --account=vision",
    ]


def test_a_worker_has_a_cpu_for_each_thread_of_its_cells_unless_it_is_said():
    cells = [make_cell(threads=2), make_cell(threads=6)]
    assert Slurm().for_cells(cells, 2).cpus == 12
    assert Slurm(cpus=3).for_cells(cells, 2).cpus == 3


def run_script(place, worker, *arguments, resubmit=2):
    """Start the script of a job whose worker is a line of shell, as task 4 of job 7."""
    (place / "job.sh").write_text(write_script(Slurm(resubmit=resubmit), "bench", worker))
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "4"}
    with (place / "7_4.log").open("w") as log:
        return subprocess.Popen(["bash", "job.sh", *arguments], cwd=place, env=environment, stderr=log)


def test_a_worker_that_is_done_leaves_its_exit_code(place, programs):
    calls = programs(sbatch='echo "$@" >> $calls')
    assert run_script(place, "true && exit 1").wait(300) == 1
    assert (place / "7_4.end").read_text() == "1\n"
    assert not calls.exists()


def test_a_worker_whose_time_is_up_hears_of_it_and_goes_on_in_a_new_job(place, programs):
    calls = programs(sbatch='echo "$@" >> $calls; echo 8')
    waits = (
        f"cd {place} && exec sh -c 'trap \"touch heard; exit 75\" USR1; touch ready; while true; do sleep 0.01; done'"
    )
    process = run_script(place, waits, "1")
    deadline = time.monotonic() + 300
    while not (place / "heard").exists():
        assert time.monotonic() < deadline
        if (place / "ready").exists():  # again and again, as the shell may not know yet what it has started
            process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
    assert process.wait(300) == 75
    assert calls.read_text() == "--parsable --array=4 job.sh 2\n"
    assert (place / "jobs").read_text() == "8\n"
    assert (place / "7_4.end").read_text() == "75\n"


def test_a_worker_goes_on_only_so_often(place, programs):
    calls = programs(sbatch='echo "$@" >> $calls')
    process = run_script(place, "exit 75", "2")
    assert process.wait(300) == 75
    assert not calls.exists()
    assert "went on in a new job 2 times, as --resubmit says" in (place / "7_4.log").read_text()


def test_a_worker_that_slurm_does_not_let_go_on_ends_with_the_reason(place, programs):
    programs(sbatch="echo 'sbatch: error: the queue is closed' >&2; exit 3")
    assert run_script(place, "exit 75").wait(300) == 3
    assert (place / "7_4.end").read_text() == "3\n"
    assert "the queue is closed" in (place / "7_4.log").read_text()


def test_a_job_is_submitted_from_its_folder_and_its_number_is_kept(place, programs):
    calls = programs(sbatch='pwd > $calls; echo "$@" >> $calls; echo "12;cluster"')
    jobs = submit("the script", 3, place)
    assert jobs.numbers == ["12"]
    assert (place / "job.sh").read_text() == "the script"
    assert calls.read_text().splitlines() == [str(place), "--parsable --array=1-3 job.sh"]


def test_a_job_that_slurm_refuses_is_told_with_its_reason(place, programs):
    programs(sbatch="echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    with pytest.raises(CellError, match="sbatch refused the job: sbatch: error: invalid partition specified: gpu"):
        submit("", 1, place)


@pytest.mark.parametrize(
    ("squeue", "is_going"),
    [("echo 12", True), ("echo 13; echo 14", False), ("exit 1", True), ("echo 30 >> jobs; echo 30", True)],
)
def test_a_job_goes_on_as_long_as_it_or_one_that_it_has_submitted_is_in_the_queue(
    place, programs, monkeypatch, squeue, is_going
):
    programs(sbatch="echo 12", squeue=f"cd {place}; {squeue}")
    jobs = submit("", 1, place)
    assert jobs.is_going == is_going
    programs(squeue="exit 3")
    assert jobs.is_going == is_going  # SLURM is not asked again within seconds
    monkeypatch.setattr(slurm, "_ASK_SECONDS", 0.0)
    assert jobs.is_going


def test_how_workers_ended_is_told_by_what_they_left(place, programs):
    programs(sbatch="echo 12")
    jobs = submit("", 1, place)
    (place / "12_1.log").write_text("one\n")
    (place / "12_1.end").write_text("0\n")
    (place / "12_2.log").write_text("killed in mid")
    (place / "12_3.log").touch()
    (place / "12_3.end").write_text("-1\n")
    first, second, third = jobs.ends()
    assert first == End("worker 12_1", 0, ("one",))
    assert second == End("worker 12_2", None, ("killed in mid",))
    assert third == End("worker 12_3", None, ())
