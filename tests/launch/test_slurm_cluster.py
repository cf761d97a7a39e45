"""A benchmark on a real SLURM of two nodes, which start_slurm.sh starts here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

import pytest

from ..conftest import SEGBENCH, ended, records  # noqa: TID252 - tests have no absolute name

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
def launch(cluster, tmp_path, start):
    """Start the benchmark with so many steps in SLURM; returns the process, which waits for its end."""

    def launch(steps, *options):
        (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=steps))
        command = [*SEGBENCH, "run", "tiny.yaml", "--on", "slurm", *options, "--device", "cpu", "--wait"]
        return start(*command, cwd=tmp_path, **cluster)

    return launch


def by_seed(folder):
    return records(folder, itemgetter("seed"))


def test_cells_run_on_both_nodes_and_are_reported(launch, tmp_path):
    code, out, err = ended(launch(3, "--workers", "2", "--cpus", "2"))  # all those of a node
    assert (code, [by_seed(tmp_path)[seed]["status"] for seed in (0, 1)]) == (0, ["ok", "ok"]), err
    assert "mIoU" in out
    assert "ended with 0 (nothing was left to take)" in err
    assert len(list((tmp_path / "results" / "tiny" / "launches" / "1").glob("*.end"))) == 2


def test_a_worker_whose_time_is_up_goes_on_in_a_new_job(launch, cluster, tmp_path, until):
    process = launch(2000, "--workers", "1", "--resubmit", "1")
    until(lambda: any('"step"' in file.read_text() for file in tmp_path.rglob("events.jsonl")))
    place = tmp_path / "results" / "tiny" / "launches" / "1"
    (number,) = (place / "jobs").read_text().split()
    subprocess.run(["scancel", "--batch", "--signal=USR1", f"{number}_1"], check=True, env=cluster)
    code, _, err = ended(process)
    assert code == 0, err
    assert len((place / "jobs").read_text().split()) == 2
    assert f"worker {number}_1 ended with 75 (its time was up)" in err
    assert {record["train"]["steps"] for record in by_seed(tmp_path).values()} == {2000}
    assert '"resumed"' in "".join(file.read_text() for file in tmp_path.rglob("events.jsonl"))
