from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from segbench import Dataset, Sample
from segbench.config.augment import Augment
from segbench.engine.data.batches import Batch, TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.probabilities import ProbabilityFields
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.data.subset import split_places
from segbench.engine.job import ADVERSARIAL_WEIGHTS
from segbench.engine.model.mapping import one_hot
from segbench.engine.model.network import Synthesizer
from segbench.engine.recorded import load_network
from segbench.engine.training.upstream import (
    PseudoLabelledBatches,
    SyntheticBatches,
    UniformFields,
    UniformSegmenter,
    load_upstream,
    make_stand_ins,
    make_synthesiser,
    write_fold_predictions,
)
from segbench.errors import RecordError, SpecError
from segbench.plan.cell import Subset

CPU = torch.device("cpu")


FILE = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3}}
protocol:
  {budget: {steps: 1}, batch_size: 2, crop: [16, 16], threads: 1, features: pixel_statistics,
   keep: {model: last, samples: 0}}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  tuned: {extends: base, start_from: base}
  refiner: {extends: base, generator: {use: refine/unet, width: 2, depth: 1}, refines: {method: base, folds: 2}}
  painter:
    generator: {use: gan/spade, width: 4, depth: 1}
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/non_saturating}
    latent_channels: 5
  joint: {extends: painter, generator: {use: gan/joint, width: 4}}
  augmented: {extends: base, trains_on: {synthetic: joint, share: 0.5}}
  taught: {extends: base, labels: {fraction: 0.5}, unlabelled: {pseudo_labels_from: base}}
  critic:
    extends: base
    discriminator: {use: gan/patchgan, receptive_field: 16, width: 4}
    adversarial: {use: gan/non_saturating, weight: {ratio: 0.1}}
compare: [{claim: critic, against: base, placebo: [frozen]}]
"""


def loaded(benchmark, name: str):
    job = benchmark.job(name)
    return load_upstream(job.cell, job.upstream, benchmark.data(name), CPU)


def a_batch(*size: int) -> Batch:
    labels = torch.randint(3, (2, *size), generator=torch.Generator().manual_seed(0))
    return Batch(torch.zeros(2, 3, *size), labels, (0, 1))


def test_a_recipe_that_asks_for_nothing_gets_nothing(planned):
    assert all(part is None for part in loaded(planned(FILE), "base"))


def test_an_upstream_cell_leaves_threads_and_precision_of_the_process_alone(planned):
    own = "[losses/cross_entropy], protocol: {threads: 2, tf32: true}}"
    benchmark = planned(FILE.replace("[losses/cross_entropy]}", own)).run("base labels 0.5")
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    assert loaded(benchmark, "taught labels 0.5").labeller is not None
    assert torch.get_num_threads() == 1
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_method_starts_from_the_weights_of_another_one(planned):
    benchmark = planned(FILE).run("base")
    start = loaded(benchmark, "tuned").start
    kept = load_network(benchmark.record_path("base"), CPU).network.state_dict()
    assert start.keys() == kept.keys()
    assert all(torch.equal(start[name], tensor) for name, tensor in kept.items())


def test_a_refiner_gets_the_base_trained_on_everything_and_what_the_folds_left(planned):
    benchmark = planned(FILE).run("base", "base fold 1/2", "base fold 2/2")
    upstream = loaded(benchmark, "refiner")
    whole = load_network(benchmark.record_path("base"), CPU).network
    images = torch.rand(1, 3, 24, 32)
    assert torch.equal(upstream.base(images), whole(images))
    assert not upstream.base.training
    assert not any(parameter.requires_grad for parameter in upstream.base.parameters())

    packed = benchmark.data("base").packed("train")
    fields = upstream.fields.windows(range(6), [(0, 24)] * 6, [(0, 32)] * 6)
    for fold in (1, 2):  # each image's field is that of the fold that did not see it
        name = f"base fold {fold}/2"
        network = load_network(benchmark.record_path(name), CPU).network
        for place in split_places(packed, Subset.parse(f"fold {fold}/2")).held_out:
            image = torch.from_numpy(benchmark.data("base").dataset.splits["train"][place].image)
            with torch.no_grad():
                probabilities = network(image.movedim(-1, 0)[None] / 127.5 - 1).softmax(1)
            torch.testing.assert_close(fields[place] / 255, probabilities[0], rtol=0, atol=0.5 / 255 + 1e-5)


def test_a_fold_that_left_nothing_is_an_error_that_names_the_file(planned):
    benchmark = planned(FILE).run("base", "base fold 1/2", "base fold 2/2")
    path = benchmark.record_path("base fold 2/2").with_suffix("") / "probabilities"
    path.unlink()
    with pytest.raises(RecordError, match=str(path)):
        loaded(benchmark, "refiner")


def test_a_placebo_takes_over_the_weights_that_a_ratio_set_step_by_step(planned):
    benchmark = planned(FILE).run("critic", "critic~frozen")
    set_weights = [point.weight for point in benchmark.records["critic"].health.curve]
    assert loaded(benchmark, "critic~frozen").weights.tolist() == set_weights
    assert [point.weight for point in benchmark.records["critic~frozen"].health.curve] == set_weights
    assert set_weights[0] > 0
    assert ADVERSARIAL_WEIGHTS in benchmark.left("critic")
    assert ADVERSARIAL_WEIGHTS not in benchmark.left("critic~frozen")


def test_weights_that_are_not_there_are_an_error_that_says_what_to_do(planned):
    benchmark = planned(FILE).run("critic")
    path = benchmark.record_path("critic").with_suffix("") / ADVERSARIAL_WEIGHTS
    path.unlink()
    with pytest.raises(RecordError, match=f"{path}.*; move .* away and run its benchmark again"):
        loaded(benchmark, "critic~frozen")


def test_a_teacher_is_a_frozen_segmenter(planned):
    benchmark = planned(FILE).run("base labels 0.5")
    labeller = loaded(benchmark, "taught labels 0.5").labeller
    assert not labeller.training
    assert not any(parameter.requires_grad for parameter in labeller.parameters())
    assert labeller(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_a_painter_paints_the_labels_of_the_batch(planned):
    benchmark = planned(FILE).run("painter")
    recorded = load_network(benchmark.record_path("painter"), CPU)
    batch = a_batch(16, 16)
    images, labels = make_synthesiser(recorded, seed=3)(batch, 4)
    assert labels is batch.labels
    assert images.shape == (2, 3, 16, 16)
    assert images.abs().max() <= 1
    assert not images.requires_grad
    noise = torch.randn(2, 5)
    fields = one_hot(batch.labels, recorded.mapping.form)
    with torch.no_grad():
        assert recorded.network(fields, noise).shape == images.shape


def test_a_joint_generator_decides_on_the_labels_itself(planned):
    benchmark = planned(FILE).run("joint")
    upstream = loaded(benchmark, "augmented")
    images, labels = upstream.synthesise(a_batch(16, 16), 0)
    assert images.shape == (2, 3, 16, 16)
    assert labels.shape == (2, 16, 16)
    assert labels.dtype == torch.int64
    assert 0 <= labels.min() <= labels.max() < 3


def test_samples_are_a_function_of_seed_and_step(planned):
    recorded = load_network(planned(FILE).run("joint").record_path("joint"), CPU)
    batch = a_batch(16, 16)
    first, _ = make_synthesiser(recorded, 3)(batch, 0)
    torch.manual_seed(8)
    assert torch.equal(first, make_synthesiser(recorded, 3)(batch, 0)[0])
    assert not torch.equal(first, make_synthesiser(recorded, 3)(batch, 1)[0])
    assert not torch.equal(first, make_synthesiser(recorded, 4)(batch, 0)[0])


def test_samples_of_another_size_than_the_crop_are_refused(planned):
    recorded = load_network(planned(FILE).run("joint").record_path("joint"), CPU)
    with pytest.raises(
        SpecError, match=r"generates samples of \[16, 16\] \(height, width\), but the crop .* is \[8, 12\]"
    ):
        make_synthesiser(recorded, 0)(a_batch(8, 12), 0)


def test_an_upstream_cell_without_a_record_is_an_error(planned):
    with pytest.raises(RecordError, match=r"there is no|cannot read"):
        loaded(planned(FILE), "augmented")


# Before anything has run ---------------------------------------------------------------------------------------------


def test_stand_ins_are_there_for_what_a_recipe_asks_for_and_for_nothing_else(planned):
    benchmark = planned(FILE)
    asked = {
        "base": set(),
        "tuned": set(),
        "refiner": {"base", "fields"},
        "augmented": {"synthesise"},
        "taught labels 0.5": {"labeller"},
        "critic~frozen": {"weights"},
    }
    for name, expected in asked.items():
        upstream = make_stand_ins(benchmark.cells[name], benchmark.data(name), CPU)
        assert {part for part, value in upstream._asdict().items() if value is not None} == expected


def test_who_is_undecided_finds_all_classes_alike():
    assert UniformSegmenter(4)(torch.rand(2, 3, 5, 7)).softmax(1).unique().tolist() == [0.25]


def test_uniform_fields_have_the_size_of_the_largest_window():
    windows = UniformFields(4, CPU).windows([3, 5], [(0, 6), (2, 7)], [(1, 4), (0, 9)])
    assert windows.shape == (2, 4, 6, 9)
    assert (windows == 0.25).all()


def test_a_generator_of_one_size_is_known_by_it(planned):
    recorded = load_network(planned(FILE).run("joint").record_path("joint"), CPU)
    assert isinstance(recorded.network, Synthesizer)
    assert recorded.network.size == (16, 16)


IGNORED = 255


# Pixel values and how sure `brightness` is of them: the sigmoid of twice the normalised value.
DARK, MIDDLE, BRIGHT = 0, 140, 255


def brightness(images):
    """Logits of the classes dark and bright."""
    assert torch.is_inference_mode_enabled()
    return torch.cat([-images[:, :1], images[:, :1]], dim=1)


def unlabelled(with_labels=False, scale=(1.0, 1.0)):
    """Batches of one image of three grey values, in truth of class 1 where it is not void."""
    image = np.repeat(np.array([DARK, MIDDLE, BRIGHT, BRIGHT], np.uint8)[:, None], 4, axis=1)
    labels = np.ones((4, 4), np.uint8)
    labels[0, 0] = IGNORED
    dataset = Dataset(["dark", "bright"], [(0, 0, 0)] * 2, {"train": [Sample(image, labels, "a")]}, channels=1)
    return TrainingBatches(
        ResidentSplit(pack(dataset, "train", "three greys"), torch.device("cpu")),
        batch_size=1,
        crop=(4, 4),
        augment=Augment(scale=scale),
        ignore_index=IGNORED,
        seed=0,
        with_labels=with_labels,
    )


@pytest.mark.parametrize(
    ("threshold", "rows"),
    [(0.0, [0, 1, 1, 1]), (0.6, [0, IGNORED, 1, 1]), (0.88, [0, IGNORED, 1, 1]), (0.89, [IGNORED] * 4)],
)
def test_labels_are_those_of_the_network_where_it_is_sure(threshold, rows):
    """It is sure of dark and bright by 1 / (1 + exp(-2)) = 0.8808, of the middle by 0.549."""
    batch = PseudoLabelledBatches(unlabelled(), brightness, threshold, IGNORED, "fp32").at(0)
    assert batch.labels.tolist() == [[[value] * 4 for value in rows]]
    assert batch.labels.dtype == torch.int64
    assert torch.equal(batch.images, unlabelled().at(0).images)


def test_nothing_outside_the_image_is_labelled():
    batches = unlabelled(scale=(0.5, 1.0))
    labelled = PseudoLabelledBatches(batches, brightness, 0.0, IGNORED, "fp32")
    assert labelled.images_per_epoch == 1
    outside_seen = 0
    for step in range(20):
        outside = batches.at(step).labels == IGNORED
        assert torch.equal(labelled.at(step).labels == IGNORED, outside)
        outside_seen += int(outside.sum())
    assert outside_seen


def test_batches_that_show_true_labels_are_refused():
    with pytest.raises(AssertionError, match="must not be known"):
        PseudoLabelledBatches(unlabelled(with_labels=True), brightness, 0.5, IGNORED, "fp32")


def test_the_network_is_asked_in_the_stated_precision():
    network = torch.nn.Conv2d(1, 2, 1).eval()
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    PseudoLabelledBatches(unlabelled(), network, 0.5, IGNORED, "bf16").at(0)
    assert seen == [torch.bfloat16]


def test_a_step_gives_the_same_labels_whenever_it_is_asked_for():
    first, again = (
        PseudoLabelledBatches(unlabelled(scale=(0.5, 2.0)), brightness, 0.6, IGNORED, "fp32") for _ in range(2)
    )
    again.at(0)
    assert torch.equal(first.at(3).labels, again.at(3).labels)


def test_a_loss_can_be_trained_on_the_labels():
    batch = PseudoLabelledBatches(unlabelled(), brightness, 0.6, IGNORED, "fp32").at(0)
    network = torch.nn.Conv2d(1, 2, 1)
    torch.nn.functional.cross_entropy(network(batch.images), batch.labels, ignore_index=IGNORED).backward()
    assert network.weight.grad.abs().sum() > 0


def streams(batch_size=4, memory_format=torch.contiguous_format):
    """The real batches, and those whose samples are to be replaced, of six images."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(rng.integers(0, 256, (12, 12, 3), np.uint8), rng.integers(0, 9, (12, 12), np.uint8), f"s{index}")
        for index in range(6)
    ]
    dataset = Dataset([f"c{index}" for index in range(9)], [(0, 0, 0)] * 9, {"train": samples})
    split = ResidentSplit(pack(dataset, "train", "six images"), torch.device("cpu"))
    return (
        TrainingBatches(
            split,
            batch_size=batch_size,
            crop=(8, 8),
            augment=Augment(flip=True),
            ignore_index=255,
            seed=0,
            memory_format=memory_format,
            stream=stream,
        )
        for stream in ("", "synthetic")
    )


def painted(batch, step):
    """Images of the step's number, which no real one has, with the labels of the originals."""
    return torch.full_like(batch.images, 2.0 + step), batch.labels


def forbidden(batch, step):
    raise AssertionError("nothing is to be generated")


def test_a_share_of_zero_changes_nothing():
    real, originals = streams()
    mixed = SyntheticBatches(real, originals, 0.0, forbidden)
    assert mixed.images_per_epoch == 6
    for step in range(4):
        assert all(torch.equal(*pair) for pair in zip(mixed.at(step)[:2], real.at(step)[:2], strict=True))
        assert mixed.at(step).indices == real.at(step).indices


def test_a_share_of_one_leaves_no_real_sample():
    mixed = SyntheticBatches(*streams(), 1.0, painted)
    for step in range(4):
        batch = mixed.at(step)
        assert batch.images.eq(2 + step).all()
        assert len(batch.images) == len(batch.labels) == len(batch.indices) == 4


def test_the_last_samples_are_generated_from_the_other_stream_and_the_first_are_real():
    real, originals = streams()
    mixed = SyntheticBatches(real, originals, 0.5, painted)
    for step in range(4):
        batch, plain, other = mixed.at(step), real.at(step), originals.draw(range(2 * step, 2 * step + 2), step)
        assert torch.equal(batch.images[:2], plain.images[:2])
        assert batch.images[2:].eq(2 + step).all()
        assert torch.equal(batch.labels, torch.cat([plain.labels[:2], other.labels]))
        assert batch.indices == plain.indices[:2] + other.indices


@settings(max_examples=30)
@given(share=st.decimals(0, 1, places=3), batch_size=st.integers(1, 6))
def test_over_time_the_share_is_exact(share, batch_size):
    mixed = SyntheticBatches(*streams(batch_size), float(share), painted)
    counts = [int(mixed.at(step).images[:, 0, 0, 0].ge(2).sum()) for step in range(30)]
    for steps in range(31):
        assert sum(counts[:steps]) == int(steps * batch_size * Fraction(share))


def test_every_image_is_an_original_once_an_epoch():
    mixed = SyntheticBatches(*streams(), 0.5, painted)
    used = [index for step in range(6) for index in mixed.at(step).indices[2:]]
    assert sorted(used[:6]) == sorted(used[6:]) == list(range(6))


def test_a_step_gives_the_same_batch_whenever_it_is_asked_for():
    first, again = (SyntheticBatches(*streams(), 0.5, painted) for _ in range(2))
    again.at(0)
    assert all(torch.equal(*pair) for pair in zip(first.at(3)[:2], again.at(3)[:2], strict=True))
    assert first.at(3).indices == again.at(3).indices


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_samples_generated_without_gradients_can_be_trained_on(memory_format, share):
    mixed = SyntheticBatches(*streams(memory_format=memory_format), share, torch.inference_mode()(painted))
    batch = mixed.at(0)
    assert batch.images.is_contiguous(memory_format=memory_format)
    network = torch.nn.Conv2d(3, 9, 1)
    torch.nn.functional.cross_entropy(network(batch.images), batch.labels).backward()
    assert network.weight.grad.abs().sum() > 0


FILE_OF_HELD_OUT = """
name: test
datasets: {shapes: {use: data/shapes, size: [24, 32], classes: 3, train: 6, val: 2, test: 3}}
protocol: {budget: {steps: 1}, batch_size: 2, crop: [16, 16]}
seeds: [0]
methods:
  base: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy]}
  refiner: {extends: base, generator: {use: refine/unet}, refines: {method: base, folds: 3}}
"""


class Sees(nn.Module):
    """Logits that are the image's colours, times a factor."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return 4 * images


@pytest.mark.parametrize("window", ["", "protocol.window={size: [16, 16], stride: [16, 16]}"])
def test_a_fold_leaves_the_probabilities_of_the_images_it_has_not_seen(planned, tmp_path, window):
    benchmark = planned(FILE_OF_HELD_OUT, *[window][: bool(window)])
    name = "base fold 2/3"
    cell, data = benchmark.cells[name], benchmark.data(name)
    write_fold_predictions(tmp_path / "left", Sees(), cell, data)
    left = load_file(tmp_path / "left")
    packed = data.packed("train")
    places = split_places(packed, Subset.parse("fold 2/3"))
    assert set(left) == {packed.ids[place] for place in places.held_out}
    assert not set(left) & {packed.ids[place] for place in places.labelled}
    samples = {sample.id: sample for sample in data.dataset.splits["train"]}
    for sample_id, field in left.items():
        image = torch.from_numpy(np.asarray(samples[sample_id].image)).movedim(-1, 0)
        expected = (4 * (image / 127.5 - 1)).softmax(0)
        # A pixel that two windows see is the mean of the same probabilities.
        torch.testing.assert_close(field / 255, expected, rtol=0, atol=0.5 / 255 + 1e-4)


def test_the_folds_together_hold_every_image_once(planned, tmp_path):
    benchmark = planned(FILE_OF_HELD_OUT)
    paths = []
    for fold in (1, 2, 3):
        cell = benchmark.cells[f"base fold {fold}/3"]
        paths.append(tmp_path / str(fold))
        write_fold_predictions(paths[-1], Sees(), cell, benchmark.data("base"))
    packed = benchmark.data("base").packed("train")
    fields = ProbabilityFields.open(paths, packed.ids)  # refuses what is missing or held twice
    windows = fields.windows(range(6), [(0, 24)] * 6, [(0, 32)] * 6)
    assert windows.shape == (6, 3, 24, 32)


def test_inside_a_test_fold_the_folds_of_a_refiner_hold_its_training_images_and_none_that_is_tested(planned, tmp_path):
    benchmark = planned(FILE_OF_HELD_OUT, "datasets.shapes.folds=2")
    data = benchmark.data("refiner test fold 2/2")
    left = []
    for fold in (1, 2, 3):
        name = f"base test fold 2/2, fold {fold}/3"
        write_fold_predictions(tmp_path / str(fold), Sees(), benchmark.cells[name], benchmark.data(name))
        left += load_file(tmp_path / str(fold))
    assert sorted(left) == sorted(data.packed("train").ids)
    assert not set(left) & set(data.packed("test").ids)
