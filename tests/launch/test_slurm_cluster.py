"""A benchmark on a real SLURM of two nodes, which start_slurm.sh starts here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
BENCHMARK = """
name: tiny
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}}}
protocol:
  budget: {{steps: {steps}}}
  batch_size: 2
  threads: 1
  timing: {{iterations: 2, seconds: 0.01, max_seconds: 0.1, sweep: 1}}
seeds: [0, 1]
methods:
  plain: {{generator: {{use: basic/fcn, width: 2}}, losses: [losses/cross_entropy]}}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """The environment in which SLURM's programs use two nodes of this machine."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"needs root and SLURM (Debian: slurm-wlm, munge); missing: {', '.join(missing) or 'root'}")
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        script = Path(__file__).with_name("start_slurm.sh")
        subprocess.run(["bash", script, folder], check=True, env=environment)
        yield environment
        subprocess.run(["scancel", "--user=root"], env=environment)
    finally:
        for file in folder.glob("*.pid"):
            with suppress(ValueError, ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def launch(cluster, tmp_path):
    """Start the benchmark with so many steps in SLURM; returns the process, which waits for its end."""
    started = []

    def launch(steps, *options):
        (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=steps))
        command = [sys.executable, "-P", "-m", "segbench", "run", "tiny.yaml", "--on", "slurm", *options]
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--wait"],
            cwd=tmp_path,
            env=cluster,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def ended(process):
    out, err = process.communicate(timeout=1800)
    return process.returncode, out, err


def records(folder):
    found = [json.loads(path.read_text()) for path in (folder / "results" / "tiny").glob("*.json")]
    return {record["seed"]: record for record in found}


def test_cells_run_on_both_nodes_and_are_reported(launch, tmp_path):
    code, out, err = ended(launch(3, "--workers", "2", "--cpus", "2"))  # all those of a node
    assert (code, [records(tmp_path)[seed]["status"] for seed in (0, 1)]) == (0, ["ok", "ok"]), err
    assert "mIoU" in out
    assert "ended with 0 (nothing was left to take)" in err
    assert len(list((tmp_path / "results" / "tiny" / "launches" / "1").glob("*.end"))) == 2


def test_a_worker_whose_time_is_up_goes_on_in_a_new_job(launch, cluster, tmp_path):
    process = launch(2000, "--workers", "1", "--resubmit", "1")
    deadline = time.monotonic() + 1800
    while not any('"step"' in file.read_text() for file in tmp_path.rglob("events.jsonl")):
        assert time.monotonic() < deadline, "no cell ever trained"
        time.sleep(0.1)
    place = tmp_path / "results" / "tiny" / "launches" / "1"
    (number,) = (place / "jobs").read_text().split()
    subprocess.run(["scancel", "--batch", "--signal=USR1", f"{number}_1"], check=True, env=cluster)
    code, _, err = ended(process)
    assert code == 0, err
    assert len((place / "jobs").read_text().split()) == 2
    assert f"worker {number}_1 ended with 75 (its time was up)" in err
    assert {record["train"]["steps"] for record in records(tmp_path).values()} == {2000}
    assert '"resumed"' in "".join(file.read_text() for file in tmp_path.rglob("events.jsonl"))
