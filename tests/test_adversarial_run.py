"""Methods that refer to one another, through the program: everything runs once, in order, or says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safetensors.numpy import load_file

from .conftest import records

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

FILE = """
name: adversarial-run
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 8, val: 2, test: 3}}
protocol:
  {budget: {steps: 2}, batch_size: 2, crop: [16, 16], threads: 1, validations: 0, features: pixel_statistics,
   keep: {model: last, samples: 1}, timing: {iterations: 1, seconds: 0.01, max_seconds: 0.02, sweep: 1}}
seeds: [0]
"""

METHODS = """
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4, norm: none}
    adversarial: {use: gan/non_saturating, weight: 0.1}
  refiner: {extends: critic, generator: {use: refine/unet, width: 2, depth: 1}, refines: {method: base, folds: 2}}
  painter:
    generator: {use: gan/spade, width: 4, depth: 1}
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge}
    latent_channels: 4
  augmented: {extends: base, trains_on: {synthetic: painter, share: 0.5}}
  fewer: {extends: base, labels: {fraction: 0.5}}
  semi: {extends: critic, labels: {fraction: 0.5}, unlabelled: {use: gan/semi_adversarial}}
  taught: {extends: fewer, unlabelled: {pseudo_labels_from: fewer, threshold: 0}}
compare: [{claim: critic, against: base, placebo: [frozen]}]
"""

# A network that is built and stepped without harm, and fails at its second training step.
PLUGIN = """
import os
from segbench import Component, hookimpl

def build(in_channels, num_classes, *, width: int = 4):
    from torch import nn

    class Network(nn.Conv2d):
        steps = 0

        def forward(self, images):
            self.steps += self.training
            if self.steps > 1 and os.environ.get("TEST_PLUGIN_BREAKS"):
                raise RuntimeError("the second step is one too many")
            return super().forward(images)

    return Network(in_channels, num_classes, 1)

@hookimpl
def segbench_generators():
    yield Component("fragile", build, "Breaks when told to")
"""

FRAGILE = """
methods:
  base: {generator: fragile/fragile, losses: [losses/cross_entropy]}
  tuned: {extends: base, start_from: base}
  again: {extends: base, start_from: tuned}
  other: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory, segbench) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which all methods ran, and what the program said."""
    folder = tmp_path_factory.mktemp("adversarial-run")
    (folder / "bench.yaml").write_text(FILE + METHODS)
    return folder, segbench(folder, "run", "bench.yaml", "--device", "cpu")


def test_methods_and_what_they_need_run_in_one_go(ran):
    folder, result = ran
    assert result.returncode == 0, result.stderr
    found = records(folder)
    assert set(found) == {
        *("base", "base fold 1/2", "base fold 2/2", "critic", "critic~frozen", "refiner", "painter", "augmented"),
        *("fewer labels 0.5", "semi labels 0.5", "taught labels 0.5"),
    }
    assert {record["status"] for record in found.values()} == {"ok"}


def test_each_cell_ran_once_and_after_those_that_it_needs(ran):
    folder, result = ran
    lines = [line for line in result.stderr.splitlines() if ": ok in" in line]
    ended = [line.partition(" / seed")[0].removeprefix("shapes / ").replace(" / ", " ") for line in lines]
    assert sorted(ended) == sorted(records(folder))
    order = {name: place for place, name in enumerate(ended)}
    for needed in ("base", "base fold 1/2", "base fold 2/2"):
        assert order[needed] < order["refiner"]
    assert order["painter"] < order["augmented"]
    assert order["fewer labels 0.5"] < order["taught labels 0.5"]


def test_a_cell_is_recorded_with_the_keys_of_what_it_needed(ran):
    found = records(ran[0])
    upstream = {name: record["spec"]["upstream"] for name, record in found.items()}
    key = {name: record["key"] for name, record in found.items()}
    assert upstream["refiner"] == {
        "refines": key["base"],
        "refines fold 1/2": key["base fold 1/2"],
        "refines fold 2/2": key["base fold 2/2"],
    }
    assert upstream["augmented"] == {"trains_on": key["painter"]}
    assert upstream["taught labels 0.5"] == {"pseudo_labels_from": key["fewer labels 0.5"]}
    assert upstream["critic"] == {}


def test_each_kind_of_method_is_measured_in_its_own_way(ran):
    found = records(ran[0])
    assert found["painter"]["scores"] is None
    assert found["painter"]["generation"]["features"] == "pixel statistics"
    assert found["refiner"]["refinement"] is not None
    with_critic = {"critic", "critic~frozen", "refiner", "painter", "semi labels 0.5"}
    assert {name for name, record in found.items() if record["health"] is not None} == with_critic
    assert {name for name, record in found.items() if record["scores"] is None} == {"painter"}
    assert all(record["inference"] for record in found.values())


def test_a_placebo_costs_what_its_critic_costs_and_learns_nothing(ran):
    folder, _ = ran
    found = records(folder)
    trained, frozen = (
        load_file(
            folder / "results/adversarial-run" / found[name]["key"] / found[name]["attempt"] / "critic.safetensors"
        )
        for name in ("critic", "critic~frozen")
    )
    assert {name: tensor.shape for name, tensor in trained.items()} == {n: t.shape for n, t in frozen.items()}
    assert any((trained[name] != frozen[name]).any() for name in trained)
    assert found["critic~frozen"]["spec"]["method"]["placebo_of"] == "critic"
    assert all(point["critic_loss"] is None for point in found["critic~frozen"]["health"]["curve"])
    assert found["critic"]["cost"]["parameters"] == found["base"]["cost"]["parameters"]  # none at inference


def test_the_table_sets_methods_and_placebo_against_their_twins(ran, segbench):
    folder, _ = ran
    report = json.loads(segbench(folder, "report", "--format", "json").stdout)
    assert {"base", "critic", "critic~frozen", "refiner", "augmented"} <= {row["method"] for row in report["rows"]}


def test_a_second_run_does_nothing(ran, segbench):
    folder, _ = ran
    before = records(folder)
    result = segbench(folder, "run", "bench.yaml", "--device", "cpu")
    assert result.returncode == 0
    assert "0 cells to run, 11 already recorded" in result.stderr
    assert records(folder) == before


def test_dependants_of_a_cell_that_failed_are_skipped_and_name_it_and_the_next_run_tries_them_again(
    tmp_path, install_plugin, segbench
):
    install_plugin("fragile", {"fragile": "fragile_plugin"}, {"fragile_plugin.py": PLUGIN})
    (tmp_path / "bench.yaml").write_text(FILE + FRAGILE)

    broken = segbench(tmp_path, "run", "bench.yaml", "--device", "cpu", TEST_PLUGIN_BREAKS="1")
    found = records(tmp_path)
    assert broken.returncode == 1, broken.stderr
    assert "Traceback" not in broken.stderr
    status = {name: record["status"] for name, record in found.items()}
    assert status == {
        "base": "failed",
        "tuned": "skipped",
        "again": "skipped",
        "other": "ok",
    }
    cause = {name: (record["error"] or {}).get("cause", "") for name, record in found.items()}
    assert "the second step is one too many" in cause["base"]
    assert "fragile" in found["base"]["error"]["plugin"]
    assert "start_from needs 'base' with seed 0, which is failed" in cause["tuned"]
    assert "the second step is one too many" in cause["tuned"]
    assert "start_from needs 'tuned' with seed 0, which is skipped" in cause["again"]

    mended = segbench(tmp_path, "run", "bench.yaml", "--device", "cpu")
    assert mended.returncode == 0, mended.stderr
    assert "3 cells to run, 1 already recorded" in mended.stderr
    assert {record["status"] for record in records(tmp_path).values()} == {"ok"}
