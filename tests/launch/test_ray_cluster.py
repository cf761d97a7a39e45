"""Benchmarks on a real Ray: one that a run starts, and three raylets of which one is killed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from segbench.engine.job import MODEL
from segbench.execute.processes import descendants
from segbench.launch.ray_cluster import RAY_HERE

BENCHMARK = """
name: tiny
datasets: {{shapes: {{use: data/shapes, classes: 3, size: [24, 32], train: 8, val: 2, test: 2}}}}
protocol:
  budget: {{steps: {steps}}}
  batch_size: 2
  threads: 1
  timing: {timing}
seeds: [{seeds}]
methods:
  plain: {{generator: {{use: basic/fcn, width: 2}}, losses: [losses/cross_entropy]}}
"""
OWN = """
  own: {generator: {use: own/net}, losses: [losses/cross_entropy]}
  after: {generator: {use: own/net}, start_from: own, losses: [losses/cross_entropy]}
"""
PLUGIN = """
from segbench import Component, hookimpl

def build(in_channels, num_classes):
    from torch import nn
    return nn.Conv2d(in_channels, num_classes, 3, padding=1)

@hookimpl
def segbench_generators():
    yield Component("net", build, "One convolution", requires=("torch",))
"""
QUICK = "{iterations: 2, seconds: 0.01, max_seconds: 0.1, sweep: 1}"
SECONDS = 1200  # in which all must have happened, on a busy machine too

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
]


CLUSTER = """
import json, pathlib, sys, tempfile
from ray.cluster_utils import Cluster

pathlib.Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)  # where Ray notes the address, without making it
each = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_log_monitor": False}
head = {**each, "include_dashboard": False, "no_monitor": True, "temp_dir": sys.argv[1]}
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = [cluster.add_node(**each) for _ in range(2)]
cluster.wait_for_nodes()
print(json.dumps([cluster.address, [node.all_processes["raylet"][0].process.pid for node in nodes]]), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def environment():
    """Variables with a short folder for what Ray writes, whose sockets have long paths; all that has them is killed."""
    home = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    try:
        yield {**os.environ, **RAY_HERE, "RAY_USAGE_STATS_ENABLED": "0", "HOME": str(home)}
    finally:
        for pid in processes_of(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(environment):
    """The address of three raylets with a CPU each, and the numbers of the processes of two of them."""
    command = [sys.executable, "-c", CLUSTER, f"{environment['HOME']}/t"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, start_new_session=True, text=True, **pipes)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def launch(environment, tmp_path):
    """Start the program, in a group of processes of its own as a shell does; its errors are in the file `err`."""
    started = []

    def launch(*arguments, **variables):
        command = [sys.executable, "-P", "-m", "segbench", "run", "tiny.yaml", "--device", "cpu", *arguments]
        with (tmp_path / "err").open("w") as err:
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                env={**environment, **variables},
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
        started.append(process)
        return process

    yield launch
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def processes_of(home):
    """Return the numbers of the processes that have a home folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"HOME={home}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def trains_below(pid):
    """Tell whether a process below this one trains a cell."""
    for one in descendants(pid):
        with suppress(OSError):
            place = Path(f"/proc/{one.pid}/cwd").resolve()
            if place.name.startswith("1-") and '"step"' in (place / "events.jsonl").read_text():
                return True
    return False


def outcome_of(results):
    """Return by key the status, scores, and hashes of counts and weights of the cells in a results folder."""
    found = {}
    for path in (results / "tiny").glob("*.json"):
        record = json.loads(path.read_text())
        files = path.with_suffix("") / record["attempt"]
        hashes = [hashlib.sha256((files / name).read_bytes()).hexdigest() for name in ("counts.parquet", MODEL)]
        found[record["key"]] = (record["status"], record["scores"], *hashes)
    return found


def test_a_cluster_started_here_gives_what_a_local_run_gives(launch, tmp_path, environment):
    (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=3, timing=QUICK, seeds="0") + OWN)
    (tmp_path / "own.py").write_text(PLUGIN)
    process = launch("--plugin", "own.py", "--on", "ray", "--results", "ray")
    assert process.wait(SECONDS) == 0, (tmp_path / "err").read_text()
    process = launch("--plugin", "own.py", "--results", "local")
    assert process.wait(SECONDS) == 0, (tmp_path / "err").read_text()
    assert outcome_of(tmp_path / "ray") == outcome_of(tmp_path / "local")
    records = [json.loads(path.read_text()) for path in (tmp_path / "ray" / "tiny").glob("*.json")]
    assert [(record["status"], bool(record["timing"])) for record in records] == [("ok", True)] * 3
    assert not processes_of(environment["HOME"])


def test_ctrl_c_keeps_checkpoints_and_ends_all_processes(launch, tmp_path, environment, until):
    (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=10**6, timing="none", seeds="0"))
    process = launch("--on", "ray")
    until(lambda: process.poll() is not None or any(map(trains_below, processes_of(environment["HOME"]))))
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(SECONDS) == 130
    said = (tmp_path / "err").read_text()
    assert "0 of 1 cells are recorded" in said
    assert "stopped; the same command resumes where it was" in said
    [record] = (tmp_path / "results" / "tiny").glob("*.unfinished.json")
    assert json.loads(record.read_text())["status"] == "interrupted"
    assert list((tmp_path / "results" / "tiny").glob("*/*/checkpoint.safetensors"))
    assert not processes_of(environment["HOME"])


def test_nodes_without_a_plugin_are_named(launch, cluster, install_plugin, tmp_path):
    install_plugin("lonely", {"own": "lonely"}, {"lonely.py": PLUGIN})
    (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=3, timing="none", seeds="0") + OWN)
    path = os.pathsep.join([str(install_plugin.folder), os.environ.get("PYTHONPATH", "")])
    process = launch("--on", "ray", "--address", cluster[0], PYTHONPATH=path)
    assert process.wait(SECONDS) == 2
    said = (tmp_path / "err").read_text()
    assert "error: 3 of 3 nodes of the cluster cannot run these cells:\n127.0.0.1: " in said
    assert "own/net" in said
    assert "Traceback" not in said


def test_the_cells_of_a_raylet_that_is_killed_run_again(launch, cluster, tmp_path, until):
    address, (raylet, _) = cluster
    (tmp_path / "tiny.yaml").write_text(BENCHMARK.format(steps=2000, timing="none", seeds="0, 1, 2, 3"))
    process = launch("--on", "ray", "--address", address, "--results", "ray")
    until(lambda: process.poll() is not None or trains_below(raylet))
    assert process.poll() is None
    os.kill(raylet, signal.SIGKILL)
    assert process.wait(SECONDS) == 0, (tmp_path / "err").read_text()
    assert "the node 127.0.0.1 was lost" in (tmp_path / "err").read_text()
    process = launch("--results", "local")
    assert process.wait(SECONDS) == 0
    assert outcome_of(tmp_path / "ray") == outcome_of(tmp_path / "local")
    assert len(outcome_of(tmp_path / "ray")) == 4
