"""A cell of each kind of generator, from its recipe to what it leaves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import confusion_matrix

from segbench.contract import MAPS, SEGMENTING_MAPS
from segbench.engine.cell import preflight
from segbench.engine.job import TimingJob
from segbench.engine.prediction.predict import explain_files, predict_files
from segbench.engine.recorded import load_network
from segbench.engine.timing.session import time_cell
from segbench.errors import DataError
from segbench.store.counts import read_counts

CPU = torch.device("cpu")

FILE = """
name: test
datasets:
  shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3, channels: CHANNELS}
protocol:
  {budget: {steps: 2}, batch_size: 2, crop: [16, 16], threads: 1, validations: 1, features: pixel_statistics,
   keep: {model: last, samples: 1}, timing: {iterations: 1, seconds: 0.01, max_seconds: 0.02}}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/non_saturating, weight: 0.1}
  colours:
    extends: critic
    generator: {use: gan/conv_colours, width: 2}
    losses: [gan/l1]
  refiner:
    extends: critic
    generator: {use: refine/unet, width: 2, depth: 1}
    refines: {method: base, folds: 2}
  painter:
    extends: critic
    generator: {use: gan/spade, width: 4, depth: 1}
    losses: [gan/l1]
    latent_channels: 5
  noise:
    generator: {use: gan/dcgan, width: 4}
    discriminator: {use: gan/image, width: 4}
    adversarial: {use: gan/hinge}
    latent_channels: 5
  joint:
    extends: noise
    generator: {use: gan/joint, width: 4}
"""

METHODS = {
    "image -> labels": "critic",
    "image, labels -> labels": "refiner",
    "image -> image": "colours",
    "labels -> image": "painter",
    "noise -> image": "noise",
    "noise -> image, labels": "joint",
}
UPSTREAM = ["base", "base fold 1/2", "base fold 2/2"]


@pytest.fixture(scope="module")
def ran(planned_once):
    """Return the planned benchmark in which the cell of one kind of generator has run, once for all tests."""

    @cache
    def make(maps: str, *changes: str, channels: int = 3):
        benchmark = planned_once(FILE.replace("CHANNELS", str(channels)), *changes)
        needed = UPSTREAM if maps == "image, labels -> labels" else []
        return benchmark.run(*(name for name in needed if name not in benchmark.records), METHODS[maps])

    return make


def pictures_of(benchmark, name: str) -> set[str]:
    return {path.name for path in (benchmark.record_path(name).with_suffix("") / "samples").iterdir()}


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("maps", MAPS)
def test_a_cell_of_every_kind_trains_and_leaves_what_its_record_needs(ran, maps, channels):
    name, benchmark = METHODS[maps], ran(maps, channels=channels)
    record = benchmark.records[name]
    assert record.status == "ok"
    assert record.train.steps == 2
    assert record.cost.parameters > 0
    assert record.cost.flops > 0
    assert record.evaluated.split == "test"
    assert record.health.verdict == "unknown"  # two steps are too few
    assert [point.step for point in record.health.curve] == [0, 1]
    assert {"model.safetensors", "critic.safetensors", "dataset.json", "samples"} <= benchmark.left(name)
    assert "checkpoint.safetensors" not in benchmark.left(name)


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("maps", SEGMENTING_MAPS)
def test_what_makes_labels_is_scored_and_predicts_from_its_record(ran, maps, channels):
    name, benchmark = METHODS[maps], ran(maps, channels=channels)
    record = benchmark.records[name]
    assert 0 <= record.scores.miou <= 1
    assert record.evaluated.images == 3
    assert record.generation is None
    assert "counts.parquet" in benchmark.left(name)
    suffixes = {name.partition(".")[2] for name in pictures_of(benchmark, name)}
    assert {"png", "panel.png", "critic.png"} <= suffixes

    recorded = load_network(benchmark.record_path(name), CPU)
    images = torch.rand(2, channels, 24, 32) * 2 - 1
    with torch.inference_mode():
        logits = recorded.network(images)
    assert logits.shape == (2, 3, 24, 32)
    assert logits.isfinite().all()
    scores = recorded.score_map(images, logits)
    assert scores.shape == (2, 1, 24, 32)
    assert scores.isfinite().all()
    assert recorded.score_boundary == 0
    assert recorded.warnings == ()


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("maps", sorted(set(MAPS) - set(SEGMENTING_MAPS)))
def test_what_makes_images_is_compared_with_real_ones_and_makes_more_from_its_record(ran, maps, channels):
    name, benchmark = METHODS[maps], ran(maps, channels=channels)
    record = benchmark.records[name]
    assert record.scores is None
    assert record.per_class is None
    assert record.generation.features == "pixel statistics"
    assert record.generation.images == 3
    assert record.generation.pixel_statistics > 0
    assert record.generation.diversity >= 0
    assert "counts.parquet" not in benchmark.left(name)
    assert pictures_of(benchmark, name) == {"last.png", "nearest.png", "step-000002.png"}

    recorded = load_network(benchmark.record_path(name), CPU)
    assert recorded.mapping.maps == maps
    inputs = {"labels -> image": (torch.rand(2, 3, 16, 16), torch.rand(2, 5))}.get(maps, (torch.rand(2, 5),))
    with torch.inference_mode():
        made = recorded.network(*inputs)
    assert made.shape == (2, channels + 3 * (maps == "noise -> image, labels"), 16, 16)
    assert made[:, :channels].abs().max() <= 1


def test_what_a_discriminator_saw_follows_from_what_its_generator_maps(ran):
    segmenter, painter = (ran(maps).records[METHODS[maps]] for maps in ("image -> labels", "noise -> image"))
    for record, present, absent in (
        (segmenter, ("ratio", "cosine", "top_probability", "class_entropy", "validation"), ("diversity", "nearest")),
        (painter, ("diversity", "nearest", "adversarial_gradient", "validation"), ("ratio", "top_probability")),
    ):
        point = record.health.curve[0]
        assert all(getattr(point, name) is not None for name in present)
        assert all(getattr(point, name) is None for name in absent)


def test_a_refiners_record_tells_what_it_changed(ran):
    benchmark = ran("image, labels -> labels")
    refinement = benchmark.records["refiner"].refinement
    assert 0 <= refinement.changed <= 1
    if refinement.changed:
        assert 0 <= refinement.corrected + refinement.spoilt <= 1
    assert benchmark.records["base"].refinement is None
    # The base's parameters are part of what a refined prediction costs.
    assert benchmark.records["refiner"].cost.parameters > benchmark.records["base"].cost.parameters
    assert benchmark.records["refiner"].cost.flops > benchmark.records["base"].cost.flops


def test_folds_leave_their_predictions_and_whole_cells_leave_none(ran):
    benchmark = ran("image, labels -> labels")
    left = [
        load_file(benchmark.record_path(f"base fold {fold}/2").with_suffix("") / "probabilities") for fold in (1, 2)
    ]
    assert len(left[0] | left[1]) == len(left[0]) + len(left[1]) == 6
    for field in (left[0] | left[1]).values():
        assert field.shape == (3, 24, 32)
        assert abs(field.int().sum(dim=0) - 255).max() <= 1  # three rounded parts
    assert "probabilities" not in benchmark.left("base")
    assert "probabilities" not in benchmark.left("refiner")


@pytest.mark.parametrize("maps", MAPS)
def test_cells_run_under_bf16_and_channels_last(ran, maps):
    record = ran(maps, "protocol.precision=bf16", "protocol.channels_last=true").records[METHODS[maps]]
    assert record.status == "ok"
    assert all(point.critic_loss > 0 and point.generator_loss is not None for point in record.health.curve)


@pytest.mark.parametrize("maps", SEGMENTING_MAPS)
def test_cells_are_evaluated_in_sliding_windows(ran, maps):
    record = ran(maps, "protocol.window={size: [16, 16], stride: [8, 8]}").records[METHODS[maps]]
    assert 0 <= record.scores.miou <= 1


@pytest.mark.parametrize("maps", MAPS)
def test_a_cell_of_every_kind_runs_on_resized_images(ran, recorder, maps):
    name, benchmark = METHODS[maps], ran(maps, "protocol.resize.factor=0.75")
    assert benchmark.records[name].status == "ok"
    rows = time_cell(TimingJob(**dict(benchmark.job(name))), recorder()).inference
    assert {row.size for row in rows} == {(24, 32) if maps in SEGMENTING_MAPS else (16, 16)}
    if maps == "image, labels -> labels":
        predicted = load_file(benchmark.record_path("base fold 1/2").with_suffix("") / "probabilities")
        assert {tuple(field.shape) for field in predicted.values()} == {(3, 18, 24)}


@pytest.mark.parametrize("maps", MAPS)
def test_a_cell_of_every_kind_is_tested_on_several_views(ran, recorder, maps):
    """Four views: two at a quarter of the pixels. Convolutions take as much time a pixel wherever it lies."""
    name, benchmark = METHODS[maps], ran(maps, "protocol.tta={flip: true, scales: [0.5, 1.0]}")
    plain, averaged = ran(maps).records[name], benchmark.records[name]
    assert averaged.train.steps == plain.train.steps
    assert {row.stage for row in time_cell(TimingJob(**dict(benchmark.job(name))), recorder()).inference}
    if maps in SEGMENTING_MAPS:
        assert averaged.cost.flops == pytest.approx(2.5 * plain.cost.flops, rel=0.25)  # some pad 12 x 16 pixels
        assert averaged.scores.nll != plain.scores.nll
    else:
        assert averaged.cost.flops == plain.cost.flops


VIEWS = "{flip: true, scales: [0.75, 1.5]}"


@pytest.mark.parametrize("tta", ["null", VIEWS])
@pytest.mark.parametrize("window", ["null", "{size: [16, 16], stride: [8, 8]}"])
@pytest.mark.parametrize("maps", SEGMENTING_MAPS)
def test_predictions_for_resized_images_are_scored_shown_and_made_again_at_native_size(
    ran, maps, window, tta, tmp_path
):
    """The picture of the first image, made of the native one, has the confusion that was counted from the cache."""
    changes = ["protocol.resize.factor=0.75", f"protocol.window={window}", f"protocol.tta={tta}"]
    name, benchmark = METHODS[maps], ran(maps, *changes)
    folder = benchmark.record_path(name).with_suffix("")
    counts = read_counts(folder)
    assert counts.sizes.tolist() == [[24, 32]] * 3
    assert benchmark.records[name].cost.flops_size == (24, 32)
    shown, truth = (
        np.asarray(Image.open(folder / "samples" / f"{counts.ids[0]}{kind}.png")) for kind in ("", ".truth")
    )
    np.testing.assert_array_equal(counts.confusion[0], confusion_matrix(truth.ravel(), shown.ravel(), labels=range(3)))

    image = benchmark.data(name).dataset.splits["test"][0].image
    Image.fromarray(image).save(tmp_path / "again.png")
    recorded = load_network(benchmark.record_path(name), CPU)
    [again] = predict_files(recorded, [tmp_path / "again.png"], tmp_path / "predicted")
    np.testing.assert_array_equal(np.asarray(Image.open(again)), shown)
    [wide] = explain_files(recorded, [tmp_path / "again.png"], tmp_path / "explained")
    assert wide.with_name("again.explain.png").is_file()


@pytest.mark.parametrize("maps", MAPS)
def test_cells_run_on_whole_images_without_a_crop(ran, maps):
    record = ran(maps, "protocol.crop=null").records[METHODS[maps]]
    assert record.status == "ok"
    assert record.cost.flops_size == (24, 32)


@pytest.mark.parametrize("discriminator", ["gan/mlp", "gan/image", "gan/multiscale", "gan/unet", "gan/segan"])
def test_crops_are_judged_by_any_discriminator_and_whole_images_are_evaluated(ran, discriminator):
    width = ", width: 8" if discriminator == "gan/unet" else ""  # as it is published it is by far the largest
    changes = [f"methods.critic.discriminator={{use: {discriminator}{width}}}"]
    if discriminator == "gan/unet":
        changes.append("methods.critic.adversarial.use=gan/per_pixel_classes")
    record = ran("image -> labels", *changes).records["critic"]
    assert record.scores is not None


def test_a_cell_leaves_the_same_bits_every_time(ran):
    def kept() -> dict[str, torch.Tensor]:
        folder = benchmark.record_path("critic").with_suffix("")
        files = [load_file(folder / name) for name in ("model.safetensors", "critic.safetensors")]
        return {f"{place} {name}": tensor for place, file in enumerate(files) for name, tensor in file.items()}

    benchmark = ran("image -> labels")
    first = kept()
    benchmark.run("critic")
    assert all(torch.equal(tensor, first[name]) for name, tensor in kept().items())


@pytest.mark.parametrize("maps", MAPS)
def test_every_kind_is_timed_on_what_it_takes(ran, recorder, maps):
    benchmark = ran(maps)
    rows = time_cell(TimingJob(**dict(benchmark.job(METHODS[maps]))), recorder()).inference
    stages = ["forward", "argmax", "loading"] if maps in SEGMENTING_MAPS else ["forward"]
    assert [(row.batch, row.stage) for row in rows] == [(batch, stage) for batch in (1, 2) for stage in stages]
    # Segmenters see whole images, the others make crops.
    assert {row.size for row in rows} == {(24, 32) if maps in SEGMENTING_MAPS else (16, 16)}


def test_a_discriminator_is_not_kept_where_the_protocol_keeps_no_model(ran):
    benchmark = ran("image -> labels", "methods.critic.protocol={keep: {model: none, samples: 0}}")
    assert benchmark.left("critic") == {"counts.parquet", "dataset.json"}


def test_refiners_stand_on_refiners_and_on_colours(planned):
    chain = """
  crf: {generator: refine/dense_crf, refines: {method: refiner}}
  on_colours: {extends: refiner, refines: {method: colours, folds: 2}}
"""
    pytest.importorskip("pydensecrf")
    benchmark = planned(FILE.replace("CHANNELS", "3") + chain).run()
    for name, base in (("crf", "refiner"), ("on_colours", "colours")):
        assert benchmark.records[name].refinement is not None
        assert benchmark.records[name].cost.parameters >= benchmark.records[base].cost.parameters
    assert benchmark.records["crf"].train.steps == 0
    assert benchmark.records["crf"].health is None
    images = torch.rand(1, 3, 24, 32) * 2 - 1
    crf = load_network(benchmark.record_path("crf"), CPU).network
    refiner = load_network(benchmark.record_path("refiner"), CPU).network
    assert torch.equal(crf.base(images), refiner(images))


def test_preflight_counts_the_images_that_a_refiner_needs_for_its_folds(planned, recorder):
    benchmark = planned(FILE.replace("CHANNELS", "3"), "methods.refiner.refines.folds=7")
    job = benchmark.job("refiner").model_copy(update={"upstream": {}})
    with pytest.raises(DataError, match="6 labelled images, which cannot be divided into 7 folds"):
        preflight(job, recorder())


@pytest.mark.parametrize("maps", MAPS)
def test_preflight_tries_every_kind_without_its_upstream_cells(planned, recorder, maps):
    benchmark = planned(FILE.replace("CHANNELS", "3"))
    job = benchmark.job(METHODS[maps]).model_copy(update={"upstream": {}})
    channel = recorder()
    preflight(job, channel)
    assert channel.of("step")[-1]["step"] == 1
    assert benchmark.left(METHODS[maps]) == set()
