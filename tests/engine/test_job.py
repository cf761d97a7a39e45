from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from pydantic import ValidationError

from segbench.engine import job
from segbench.engine.job import CellJob, TimingJob
from segbench.store import folder

FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3}}
protocol: {budget: {steps: 3}, batch_size: 2, crop: [16, 16]}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  tuned: {extends: base, start_from: base}
"""


def test_the_files_of_a_cell_keep_the_names_that_finished_cells_have_on_disk():
    assert folder.CHECKPOINT == "checkpoint.safetensors"
    assert job.MODEL == "model.safetensors"
    assert job.DISCRIMINATOR == "critic.safetensors"
    assert job.PROBABILITIES == "probabilities"


def test_a_job_reaches_another_process_unchanged(planned):
    benchmark = planned(FILE)
    made = benchmark.job("tuned")
    assert pickle.loads(pickle.dumps(made)) == made
    assert CellJob.model_validate_json(made.model_dump_json()) == made
    assert made.upstream.keys() == {"start_from"}
    assert made.upstream["start_from"] == benchmark.job("base").folder


def test_a_timing_job_takes_the_size_of_the_evaluated_images_unless_it_states_one(planned):
    given = dict(planned(FILE).job("base"))
    assert TimingJob(**given).size is None
    assert TimingJob(**given, size=(480, 360)).size == (480, 360)


def test_a_job_with_an_unknown_field_is_refused(planned):
    with pytest.raises(ValidationError, match="devise"):
        CellJob(**dict(planned(FILE).job("base")), devise="cpu")


def test_jobs_need_no_torch():
    program = "import sys, segbench.engine.job; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
