"""Tuned methods and equal seconds, through the program: trials, winners, placebos, and what is resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from .conftest import records

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
name: tuning-run
datasets: {shapes: {use: data/shapes, size: [32, 32], classes: 3, train: 8, val: 2, test: 3}}
protocol:
  {budget: {steps: 3}, batch_size: 2, crop: [16, 16], threads: 1, validations: 1, select: best,
   keep: {model: last, samples: 1}, timing: {iterations: 1, seconds: 0.01, max_seconds: 0.02, sweep: 1}}
seeds: [0]
tune: {trials: 2, seed: 9}
methods:
  net:
    generator: {use: basic/fcn, width: 4}
    losses: [losses/cross_entropy]
    tune: {protocol.optimizer.lr: [0.0001, 0.05], generator.width: [3, 5]}
  critic:
    extends: net
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4, norm: none}
    adversarial: {use: gan/non_saturating}
    tune: {adversarial.weight: [0.1, 0.2]}
  long: {extends: net, protocol: {budget: {like: critic, in: seconds}}}
compare:
  - {claim: critic, against: net, placebo: [frozen]}
  - {claim: critic, against: long}
"""

# What is tried; as it is written, the width is 4.
WIDTHS = (3, 5)

TRIALS = ["net#1", "net#2", "critic#1", "critic#2", "long#1", "long#2"]
REPORTED = ["net", "critic", "critic~frozen", "long"]


def segbench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "segbench", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)


def interrupted_at(folder: Path, line: str) -> int:
    """Run the benchmark, press Ctrl-C as soon as it says a line, and return how it ended."""
    command = [sys.executable, "-m", "segbench", "run", "bench.yaml", "--device", "cpu"]
    with subprocess.Popen(
        command, cwd=folder, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for said in process.stderr:
            if line in said:
                process.send_signal(signal.SIGINT)
        return process.wait()


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, dict[str, dict], subprocess.CompletedProcess[str]]:
    """A folder in which a run was interrupted at its first tuned cell and then finished; the records of the first."""
    folder = tmp_path_factory.mktemp("tuning-run")
    (folder / "bench.yaml").write_text(FILE)
    assert interrupted_at(folder, "shapes / net / seed 0: started") == 130
    before = records(folder)
    return folder, before, segbench(folder, "run", "bench.yaml", "--device", "cpu")


def test_all_trials_and_all_methods_are_run(ran):
    folder, _, result = ran
    assert result.returncode == 0, result.stderr
    found = records(folder)
    assert set(found) == {*TRIALS, *REPORTED}
    assert {record["status"] for record in found.values()} == {"ok"}
    assert {record["evaluated"]["split"] for name, record in found.items() if name in TRIALS} == {"val"}
    assert {record["evaluated"]["split"] for name, record in found.items() if name in REPORTED} == {"test"}
    assert {name: record["seed"] for name, record in found.items()} == dict.fromkeys(TRIALS, 9) | dict.fromkeys(
        REPORTED, 0
    )


def test_the_trial_that_is_best_on_val_wins(ran):
    found = records(ran[0])
    for name in REPORTED:
        arm = "critic" if name == "critic~frozen" else name
        trials = [found[f"{arm}#{number}"] for number in (1, 2)]
        settled = found[name]["settled"]
        assert [trial["miou"] for trial in settled["trials"]] == [trial["scores"]["miou"] for trial in trials]
        assert settled["winner"] == max(trials, key=lambda trial: trial["scores"]["miou"])["key"]
        assert found[name]["spec"]["method"]["generator"]["options"]["width"] == 4


def test_arms_tried_the_same_rates(ran):
    found = records(ran[0])
    rates = [
        [trial["settings"]["protocol.optimizer.lr"] for trial in found[name]["settled"]["trials"]] for name in REPORTED
    ]
    assert all(one == rates[0] for one in rates)
    assert sorted(rates[0]) == [0.0001, 0.05]


@pytest.mark.parametrize(("name", "like"), [("long", "critic"), ("long#1", "critic#1"), ("long#2", "critic#2")])
def test_what_is_as_long_as_another_took_its_seconds(ran, name, like):
    found = records(ran[0])
    seconds = found[like]["train"]["seconds"]
    assert found[name]["settled"]["seconds"] == seconds
    assert found[name]["train"]["seconds"] >= seconds
    assert found[name]["spec"]["method"]["protocol"]["budget"]["like"] == like


def test_what_was_interrupted_took_over_the_same_when_it_was_resumed(ran):
    folder, before, _ = ran
    after = records(folder)
    assert before["net"]["status"] == "interrupted"
    assert after["net"]["settled"] == before["net"]["settled"]
    ended = [name for name, record in before.items() if record["status"] == "ok"]
    assert {"net#1", "net#2"} <= set(ended)
    assert all(after[name] == before[name] for name in ended if name in TRIALS)


def test_a_tuned_network_comes_back_as_it_was_trained(ran, tmp_path):
    folder, _, _ = ran
    net = records(folder)["net"]
    Image.new("RGB", (32, 32)).save(tmp_path / "grey.png")
    predicted = segbench(folder, "predict", net["key"], str(tmp_path / "grey.png"), "--output", str(tmp_path / "out"))
    assert predicted.returncode == 0, predicted.stderr
    assert net["spec"]["method"]["generator"]["options"]["width"] not in WIDTHS


def test_only_what_is_asked_for_is_timed_and_reported(ran):
    folder, _, result = ran
    assert {name for name, record in records(folder).items() if record["inference"]} == set(REPORTED)
    assert not any(trial in result.stdout for trial in TRIALS)


def test_nothing_is_left_to_do(ran):
    folder, _, _ = ran
    again = segbench(folder, "run", "bench.yaml", "--device", "cpu")
    assert again.returncode == 0
    assert "0 cells to run, 10 already recorded" in again.stderr


def test_the_plan_shows_trials_and_whose_seconds_count(ran):
    folder, _, _ = ran
    rows = {
        " ".join(line.split()[:3]): line for line in segbench(folder, "plan", "bench.yaml").stdout.splitlines() if line
    }
    assert "critic (budget), 2 trials" in rows["shapes long 0"]
    assert "critic#1 (budget)" in rows["shapes long#1 9"]
    assert all(f"shapes {trial} 9" in rows for trial in TRIALS)
