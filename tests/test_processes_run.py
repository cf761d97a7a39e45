"""Cells of two processes, through the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import records

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

FILE = """
name: processes-run
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 8, val: 2, test: 5}}
protocol:
  {budget: {steps: 2}, batch_size: 2, crop: [16, 16], threads: 2, processes: 2, validations: 1, timing: none,
   keep: {model: last, samples: 1}}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  alone: {extends: base, protocol: {processes: 1}}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/relativistic, weight: 0.1}
  refiner: {extends: base, generator: {use: refine/unet, width: 2, depth: 1}, refines: {method: base, folds: 2}}
  painter:
    generator: {use: gan/spade, width: 4, depth: 1}
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/hinge}
    latent_channels: 4
  fragile: {generator: fragile/fragile, losses: [losses/cross_entropy]}
"""

# A network that kills the second process of a cell at its second step.
PLUGIN = """
import os, signal
from segbench import Component, hookimpl

def build(in_channels, num_classes):
    import torch

    class Network(torch.nn.Conv2d):
        steps = 0

        def forward(self, images):
            self.steps += self.training
            if self.steps > 1 and torch.distributed.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(images)

    return Network(in_channels, num_classes, 1)

@hookimpl
def segbench_generators():
    yield Component("fragile", build, "Dies in one of two processes")
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory, segbench) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which all methods ran, and what the program said."""
    folder = tmp_path_factory.mktemp("processes-run")
    (folder / "bench.yaml").write_text(FILE)
    (folder / "fragile.py").write_text(PLUGIN)
    return folder, segbench(folder, "--plugin", "fragile.py", "run", "bench.yaml", "--device", "cpu")


def test_every_kind_of_method_is_trained_by_two_processes(ran):
    folder, result = ran
    statuses = {name: record["status"] for name, record in records(folder).items()}
    assert statuses.pop("fragile") == "failed"
    folds = ("base fold 1/2", "base fold 2/2")
    assert statuses == dict.fromkeys(("base", *folds, "alone", "critic", "refiner", "painter"), "ok"), result.stderr


def test_a_process_that_dies_ends_its_cell_with_the_cause(ran):
    assert records(ran[0])["fragile"]["error"]["cause"].startswith("process 2 of 2: killed by SIGKILL")


def test_two_processes_score_as_one_does_under_a_key_of_their_own(ran):
    found = records(ran[0])
    base, alone = found["base"], found["alone"]
    assert base["scores"]["miou"] == pytest.approx(alone["scores"]["miou"], abs=0.05)
    assert base["evaluated"] == alone["evaluated"]
    assert base["key"] != alone["key"]
    assert base["spec"]["method"]["protocol"]["processes"] == 2
    assert "processes" not in alone["spec"]["method"]["protocol"]


def test_the_first_process_leaves_the_files_that_one_does(ran):
    folder, _ = ran
    found = [records(folder)[name] for name in ("base", "alone")]
    places = [folder / "results" / "processes-run" / record["key"] / record["attempt"] for record in found]
    base, alone = ({path.relative_to(place) for path in place.rglob("*")} for place in places)
    assert base == alone
