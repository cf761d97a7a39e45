from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from segbench.config.recipe import ComponentUse
from segbench.engine.cell import preflight, run_cell
from segbench.engine.data.batches import normalise
from segbench.engine.data.resizing import resize_labels
from segbench.errors import DataError, SegbenchError, SpecError
from segbench.store.counts import read_counts

from ..devices import ON_CPU_AND_GPU  # noqa: TID252 - tests have no absolute name

FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3}}
protocol: {budget: {steps: 3}, batch_size: 2, crop: [16, 16], threads: 1, validations: 1}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  tuned: {extends: base, start_from: base, protocol: {optimizer: {use: sgd, lr: 1e-30}}}
"""


@pytest.fixture
def jobs(planned):
    """Return the jobs of the benchmark by method, after changes to the file."""

    def make(*changes: str):
        benchmark = planned(FILE, *changes)
        return {name: benchmark.job(name) for name in benchmark.cells}

    return make


@ON_CPU_AND_GPU
def test_a_cell_leaves_the_counts_that_its_scores_come_from(jobs, recorder, device):
    job = jobs()["base"].model_copy(update={"device": str(device)})
    result, folder = run_cell(job, recorder()), Path(job.folder)
    counts = read_counts(folder)
    total = counts.confusion.sum(axis=0)
    union = total.sum(0) + total.sum(1) - np.diag(total)
    assert result.status == "ok"
    assert result.scores.miou == pytest.approx((np.diag(total) / union)[union > 0].mean())
    assert result.evaluated.images == len(counts.ids) == 3
    assert len(result.evaluated.classes) == counts.num_classes
    assert result.definitions.keys() == result.scores.model_dump(exclude_none=True).keys()
    assert {"per_image_miou", "boundary_iou", "boundary_f1", "ece", "nll", "brier"} <= result.definitions.keys()
    assert total.sum() == 3 * 24 * 32
    assert result.cost.parameters == 9 * 4 * (3 + 4 + 3) + 2 * 4 + 3
    assert result.environment["device"] == str(device)
    assert json.loads((folder / "dataset.json").read_text())["channels"] == 3


def test_a_cell_reports_its_stages_steps_and_validations(jobs, recorder):
    channel = recorder()
    run_cell(jobs()["base"], channel)
    assert [event["name"] for event in channel.of("stage")] == ["train", "evaluate"]
    assert channel.of("step")[-1]["step"] == 3
    assert channel.of("usage")[0]["host_bytes"] > 0
    assert 0 <= channel.of("validation")[0]["miou"] <= 1


def test_a_result_has_the_class_weights_that_losses_have_by_name(jobs, recorder):
    loss = (
        "[{use: losses/cross_entropy, class_weights: median_frequency}, {use: losses/focal, class_weights: [1, 1, 2]}]"
    )
    result = run_cell(jobs(f"methods.base.losses={loss}")["base"], recorder())
    assert result.train.class_weights.keys() == {"median_frequency"}
    assert np.median(result.train.class_weights["median_frequency"]) == 1  # as the class of the median is weighted


def test_a_cell_starts_from_the_weights_of_the_one_it_names(jobs, recorder):
    made = jobs()
    run_cell(made["base"], recorder())
    run_cell(made["tuned"], recorder())
    base, tuned = (load_file(Path(made[name].folder) / "model.safetensors") for name in ("base", "tuned"))
    assert all(torch.equal(base[name], tuned[name]) for name in base)


def test_a_result_names_the_pretrained_weights_it_started_from(jobs, recorder, tmp_path):
    made = jobs()["base"]
    weights = tmp_path / "test_resnet.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), weights)
    options = {"backbone": "test_resnet", "weights": str(weights), "width": 8, "out_indices": [1]}
    generator = ComponentUse(use="timm/fpn", options=options)
    cell = made.cell.model_copy(update={"method": made.cell.method.model_copy(update={"generator": generator})})
    result = run_cell(made.model_copy(update={"cell": cell}), recorder())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert result.provenance == {"weights": "test_resnet.pth", "sha256": digest}


def test_a_cell_asked_to_stop_is_interrupted_and_keeps_its_checkpoint(jobs, recorder):
    job = jobs()["base"]
    result = run_cell(job, recorder(stop_after=1))
    assert result.status == "interrupted"
    assert result.train.steps == 1
    assert (Path(job.folder) / "checkpoint.safetensors").exists()


def test_nothing_is_kept_of_the_model_where_the_protocol_says_none(jobs, recorder):
    job = jobs("protocol.keep={model: none, samples: 0}", "methods.tuned.start_from=null")["base"]
    run_cell(job, recorder())
    assert not (Path(job.folder) / "model.safetensors").exists()
    assert not (Path(job.folder) / "samples").exists()


def test_scores_against_resized_labels_are_other_scores(jobs, recorder):
    changes = ["protocol.resize.size=[18, 16]", "protocol.score_at=resized"]
    job = jobs(*changes)["base"]
    result = run_cell(job, recorder())
    assert read_counts(Path(job.folder)).sizes.tolist() == [[18, 16]] * 3
    assert result.definitions["miou"] == "miou/union@1, labels resized by size [18, 16]"
    assert job.cell.key != jobs(changes[0])["base"].cell.key


def test_folds_are_the_same_of_resized_images(planned, recorder):
    changes = ["datasets.shapes.folds=3", "methods.tuned.start_from=null"]
    native, resized = (planned(FILE, *changes, *more) for more in ((), ["protocol.resize.short_side=18"]))
    for name in native.cells:
        before, after = native.data(name), resized.data(name)
        assert before.packed("test").ids == after.packed("test").ids == after.resized("test").ids
        assert before.packed("train").ids == after.resized("train").ids
        assert after.resized("train").index.sizes == ((18, 24),) * len(after.packed("train"))
        np.testing.assert_array_equal(
            after.resized("test").labels(1), resize_labels(after.packed("test").labels(1), (18, 24))
        )
    job = resized.job(name)
    run_cell(job, recorder())
    assert read_counts(Path(job.folder)).sizes.tolist() == [[24, 32]] * len(after.packed("test"))


def test_preflight_names_the_window_that_no_resized_image_fills(jobs, recorder):
    job = jobs("protocol.resize.short_side=16", "protocol.window={size: [24, 16], stride: [8, 8]}")["base"]
    with pytest.raises(DataError, match=r"protocol.window.size \[24, 16\] .* split 'test'.* is \[16, 21\]"):
        preflight(job, recorder())


def test_preflight_gives_the_network_no_more_of_an_image_than_a_window(jobs, recorder, monkeypatch):
    shapes = []

    def record(images, white, layout):
        shapes.append(tuple(images.shape[2:]))
        return normalise(images, white, layout)

    monkeypatch.setattr("segbench.engine.cell.normalise", record)
    preflight(jobs("protocol.window={size: [8, 10], stride: [8, 8]}")["base"], recorder())
    assert shapes == [(8, 10)]


def test_preflight_takes_one_step_and_leaves_nothing(jobs, recorder):
    job, channel = jobs()["tuned"], recorder()
    preflight(job, channel)
    assert channel.of("step")[-1]["step"] == 1
    assert list(Path(job.folder).iterdir()) == []


def test_preflight_refuses_a_method_of_its_own_weight_for_auxiliary_outputs_that_do_not_exist(jobs, recorder):
    preflight(jobs("protocol.auxiliary_weight=0.4")["base"], recorder())
    own = "methods.base.protocol={auxiliary_weight: 0.4}"
    with pytest.raises(SpecError, match="auxiliary_weight: generator basic/fcn returns no auxiliary outputs beside"):
        preflight(jobs(own)["base"], recorder())
    preflight(jobs(own, "methods.base.generator=realtime/ddrnet23_slim")["base"], recorder())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("protocol.batch_size=7", "batch_size 7 is larger than split 'train', which has 6 images"),
        ("protocol.crop=[64, 64]", r"crop \[64, 64\]"),
        ("protocol.window={size: [0, 8], stride: [8, 8]}", "window"),
        ("datasets.shapes.test=0", "has no split 'test'"),
        ("protocol.resize.factor=0.01", r"is \[24, 32\] .* becomes \[0, 0\] by .*, which leaves no pixel"),
        ("protocol.resize.short_side=15", r"crop \[16, 16\] .* is \[15, 20\], resized from \[24, 32\]"),
        ("protocol.resize.size=[1, 1]", "no pixel of .* is left in the labels of split 'train' after protocol.resize"),
    ],
)
def test_preflight_finds_what_does_not_fit_the_data(jobs, recorder, change, message):
    with pytest.raises(SegbenchError, match=message):
        preflight(jobs(change)["base"], recorder())
