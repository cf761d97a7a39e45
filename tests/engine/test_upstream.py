from __future__ import annotations

import pytest
import torch

from segbench.engine.data.batches import Batch
from segbench.engine.data.subset import split_places
from segbench.engine.network import Synthesizer
from segbench.engine.pairing import one_hot
from segbench.engine.recorded import load_network
from segbench.engine.upstream import Undecided, UniformFields, load_upstream, stand_ins, synthesiser
from segbench.errors import RecordError, SpecError
from segbench.plan.subset import Subset

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
    noise_channels: 5
  joint: {extends: painter, generator: {use: gan/joint, width: 4}}
  augmented: {extends: base, trains_on: {synthetic: joint, share: 0.5}}
  taught: {extends: base, labels: {fraction: 0.5}, unlabelled: {pseudo_labels_from: base}}
"""


def loaded(benchmark, name: str):
    job = benchmark.job(name)
    return load_upstream(job.cell, job.upstream, benchmark.data(name), CPU)


def a_batch(*size: int) -> Batch:
    labels = torch.randint(3, (2, *size), generator=torch.Generator().manual_seed(0))
    return Batch(torch.zeros(2, 3, *size), labels, (0, 1))


def test_a_recipe_that_asks_for_nothing_gets_nothing(planned):
    assert all(part is None for part in loaded(planned(FILE), "base"))


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
    images, labels = synthesiser(recorded, seed=3)(batch, 4)
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
    first, _ = synthesiser(recorded, 3)(batch, 0)
    torch.manual_seed(8)
    assert torch.equal(first, synthesiser(recorded, 3)(batch, 0)[0])
    assert not torch.equal(first, synthesiser(recorded, 3)(batch, 1)[0])
    assert not torch.equal(first, synthesiser(recorded, 4)(batch, 0)[0])


def test_samples_of_another_size_than_the_crop_are_refused(planned):
    recorded = load_network(planned(FILE).run("joint").record_path("joint"), CPU)
    with pytest.raises(SpecError, match=r"makes samples of \[16, 16\] \(height, width\), but the crop .* is \[8, 12\]"):
        synthesiser(recorded, 0)(a_batch(8, 12), 0)


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
    }
    for name, expected in asked.items():
        upstream = stand_ins(benchmark.cells[name], benchmark.data(name), CPU)
        assert {part for part, value in upstream._asdict().items() if value is not None} == expected


def test_who_is_undecided_finds_all_classes_alike():
    assert Undecided(4)(torch.rand(2, 3, 5, 7)).softmax(1).unique().tolist() == [0.25]


def test_uniform_fields_have_the_size_of_the_largest_window():
    windows = UniformFields(4, CPU).windows([3, 5], [(0, 6), (2, 7)], [(1, 4), (0, 9)])
    assert windows.shape == (2, 4, 6, 9)
    assert (windows == 0.25).all()


def test_a_generator_of_one_size_is_known_by_it(planned):
    recorded = load_network(planned(FILE).run("joint").record_path("joint"), CPU)
    assert isinstance(recorded.network, Synthesizer)
    assert recorded.network.size == (16, 16)
