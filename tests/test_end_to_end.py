"""The program as its users meet it: real processes, real signals, records, tables and pictures."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMING = "{iterations: 3, seconds: 0.05, max_seconds: 0.2, sweep: 2}"
FCN = ["shapes-smoke", "--only", "fcn", "--seeds", "0", "--device", "cpu", "--set", f"protocol.timing={TIMING}"]
UNTIMED = ["--set", "protocol.timing=none"]
LONG = [*FCN, *UNTIMED, "--set", "protocol.budget.steps=80", "--set", "protocol.ema=0.9", "--checkpoint-every", "0.01"]
WITH_A_DISCRIMINATOR = [
    *("--set", "methods.fcn.discriminator={use: gan/patchgan, receptive_field: 16, width: 4}"),
    *("--set", "methods.fcn.adversarial={use: gan/non_saturating, weight: 0.5, d_steps: 2, warmup_steps: 20}"),
]
ADVERSARIAL = [*LONG, "--set", "protocol.budget.steps=30", *WITH_A_DISCRIMINATOR]


def only_record(folder: Path) -> dict:
    (path,) = folder.glob("results/*/*.json")
    return json.loads(path.read_text())


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline, "the run did not get there"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which one short benchmark has run."""
    folder = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "segbench", "run", *FCN]
    result = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "fcn" in result.stdout
    return folder


def test_a_run_leaves_a_record_and_what_lies_beside_it(finished):
    record = only_record(finished)
    assert record["status"] == "ok"
    stages = ("forward", "labels", "loading")
    rows = {(row["stage"], row["batch"]) for row in record["inference"]}
    assert rows == {(stage, batch) for stage in stages for batch in (1, 4)}
    assert record["train"]["steps"] == 12
    cell = finished / "results" / "shapes-smoke" / record["key"] / record["attempt"]
    names = {path.name for path in cell.iterdir()}
    assert {"counts.parquet", "events.jsonl", "model.safetensors", "samples"} <= names
    assert "checkpoint.safetensors" not in names


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_a_worker_trains_evaluates_and_times_on_the_gpu_that_it_is_given(tmp_path, segbench, device):
    import torch

    if torch.cuda.device_count() <= torch.device(device).index:
        pytest.skip(f"there is no {device}")
    result = segbench(tmp_path, "run", *FCN, *WITH_A_DISCRIMINATOR, "--device", device)
    assert result.returncode == 0, result.stderr
    record = only_record(tmp_path)
    assert record["environment"]["device"] == device
    assert record["train"]["shares"]["critic"] > 0
    assert len(record["inference"]) == 6


def test_a_finished_cell_never_runs_twice(finished, segbench):
    before = only_record(finished)
    result = segbench(finished, "run", *FCN)
    assert result.returncode == 0
    assert "1 already recorded" in result.stderr
    assert only_record(finished) == before


def test_predictions_of_a_recorded_cell_stand_in_its_table_once_scored(finished, segbench):
    images = finished / "images"
    images.mkdir()
    record = only_record(finished)
    options = [f"--option={name}={json.dumps(value)}" for name, value in record["spec"]["dataset"]["options"].items()]
    from segbench.registry import load_registry
    from segbench.registry.datasets import open_dataset

    offer = load_registry().find("dataset", "data/shapes")
    for sample in open_dataset(offer, None, record["spec"]["dataset"]["options"]).splits["test"]:
        Image.fromarray(sample.image).save(images / f"{sample.id}.png")

    predicted = segbench(finished, "predict", record["key"], "images", "-o", "out", "--device", "cpu")
    assert predicted.returncode == 0, predicted.stderr
    labels = finished / "labels"
    labels.mkdir()
    for image in images.iterdir():
        written = finished / "out" / image.name
        with Image.open(written) as label_map, Image.open(image) as photo:
            assert label_map.size == photo.size
        written.rename(labels / image.name)

    score = ["score", "labels", "--dataset", "data/shapes", "--name", "again", "--benchmark", "shapes-smoke", *options]
    scored = segbench(finished, *score)
    assert scored.returncode == 0, scored.stderr
    report = segbench(finished, "report", "--format", "json")
    rows = {row["method"]: row for row in json.loads(report.stdout)["rows"]}
    assert rows["again"]["scores"]["miou"]["mean"] == rows["fcn"]["scores"]["miou"]["mean"]


def test_two_methods_of_one_seed_start_from_the_same_weights(tmp_path, segbench):
    twins = ["shapes-smoke", "--seeds", "0", "--device", "cpu", "--set", "protocol.optimizer.lr=1e-30"]
    result = segbench(tmp_path, "run", *twins, *UNTIMED)
    assert result.returncode == 0, result.stderr
    first, second = (load_file(path) for path in tmp_path.glob("results/*/*/*/model.safetensors"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, segbench) -> Path:
    """A folder in which a longer training ran in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = segbench(folder, "run", *LONG)
    assert result.returncode == 0, result.stderr
    return folder


def started(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "segbench", "run", *LONG]
    return subprocess.Popen(command, cwd=folder, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def assert_same_result(folder: Path, expected: Path) -> None:
    record, reference = only_record(folder), only_record(expected)
    assert record["scores"] == reference["scores"]
    assert record["health"] == reference["health"]
    kept = [
        {path.name: load_file(path) for path in where.glob("results/*/*/*/*.safetensors")}
        for where in (folder, expected)
    ]
    assert kept[0].keys() == kept[1].keys()
    for name, theirs in kept[1].items():
        assert all(np.array_equal(kept[0][name][tensor], theirs[tensor]) for tensor in theirs)


def has_checkpoint(folder: Path) -> bool:
    return any(folder.glob("results/*/*/*/checkpoint.safetensors"))


def has_event(folder: Path, event: str) -> bool:
    logs = folder.glob("results/*/*/*/events.jsonl")
    return any(f'"event": "{event}"' in log.read_text() for log in logs)


def is_evaluating(folder: Path) -> bool:
    return any('"name": "evaluate"' in log.read_text() for log in folder.glob("results/*/*/*/events.jsonl"))


MOMENTS = {
    "after a checkpoint": has_checkpoint,
    "before the first step": lambda folder: any(folder.glob("results/*/claims/*.json")),
    "while steps are reported": lambda folder: has_checkpoint(folder) and has_event(folder, "step"),
    "while it evaluates": is_evaluating,
}


@pytest.mark.parametrize(
    "moment", [name if name == "after a checkpoint" else pytest.param(name, marks=pytest.mark.slow) for name in MOMENTS]
)
def test_a_run_that_was_killed_ends_with_the_same_weights_and_scores(tmp_path, uninterrupted, segbench, moment):
    run = started(tmp_path)
    wait_for(lambda: MOMENTS[moment](tmp_path), run)
    run.kill()
    run.wait()
    assert not list(tmp_path.glob("results/*/*.json"))
    resumed = segbench(tmp_path, "run", *LONG)
    assert resumed.returncode == 0, resumed.stderr
    if moment == "after a checkpoint":
        assert has_event(tmp_path, "resumed")
    assert_same_result(tmp_path, uninterrupted)


@contextmanager
def killed_worker(condition) -> Iterator[None]:
    """Kill the one worker of this process, from a thread beside what is run meanwhile, once a condition holds."""
    ended = threading.Event()

    def kill() -> None:
        while not condition() and not ended.is_set():
            time.sleep(0.01)
        for worker in multiprocessing.active_children():
            worker.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_an_adversarial_cell_that_was_killed_ends_with_the_same_weights_of_both_networks(tmp_path, segbench):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    result = segbench(whole, "run", *ADVERSARIAL)
    assert result.returncode == 0, result.stderr
    assert [point["step"] for point in only_record(whole)["health"]["curve"]] == [0, 10, 20, 29]
    assert any(whole.glob("results/*/*/*/critic.safetensors"))

    with killed_worker(lambda: has_checkpoint(parts)):
        assert segbench(parts, "run", *ADVERSARIAL).returncode == 1
    assert only_record(parts)["error"]["cause"].startswith("killed by SIGKILL")
    resumed = segbench(parts, "run", *ADVERSARIAL)
    assert resumed.returncode == 0, resumed.stderr
    assert has_event(parts, "resumed")
    assert_same_result(parts, whole)


def test_ctrl_c_stops_cleanly_and_the_same_command_resumes(tmp_path, uninterrupted, segbench):
    run = started(tmp_path)
    wait_for(lambda: has_checkpoint(tmp_path), run)
    run.send_signal(signal.SIGINT)
    assert run.wait() == 130
    assert only_record(tmp_path)["status"] == "interrupted"
    resumed = segbench(tmp_path, "run", *LONG)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_result(tmp_path, uninterrupted)
