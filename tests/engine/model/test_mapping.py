from __future__ import annotations

import pytest
import torch

from segbench.contract import MAPS, SEGMENTING_MAPS
from segbench.engine.data.batches import Batch
from segbench.engine.model.mapping import FieldForm, GeneratorMapping, inference_inputs

CPU = torch.device("cpu")
PALETTE = ((0, 0, 0), (255, 255, 255), (255, 0, 0))
FORM = FieldForm(num_classes=3, ignore_index=255, palette=PALETTE)


def a_batch() -> Batch:
    """Two images of five channels, 1 x 2 pixels, of which one pixel is ignored."""
    labels = torch.tensor([[[0, 2]], [[1, 255]]])
    return Batch(torch.rand(2, 5, 1, 2), labels, (0, 1), torch.full((2, 3, 1, 2), 1 / 3))


def mapping(maps: str) -> GeneratorMapping:
    return GeneratorMapping(maps, FORM, latent_channels=7)


@pytest.mark.parametrize(
    ("maps", "shapes"),
    [
        ("image -> labels", [(2, 5, 1, 2)]),
        ("image -> image", [(2, 5, 1, 2)]),
        ("image, labels -> labels", [(2, 5, 1, 2), (2, 3, 1, 2)]),
        ("labels -> image", [(2, 3, 1, 2), (2, 7)]),
        ("noise -> image", [(2, 7)]),
        ("noise -> image, labels", [(2, 7)]),
    ],
)
def test_a_generator_is_given_what_it_maps(maps, shapes):
    assert [tuple(given.shape) for given in mapping(maps).inputs(a_batch(), seed=0, step=0)] == shapes


def test_a_painter_is_given_one_hot_labels_that_are_0_where_they_are_ignored():
    labels, _ = mapping("labels -> image").inputs(a_batch(), seed=0, step=0)
    assert labels.movedim(1, -1).tolist() == [[[[1, 0, 0], [0, 0, 1]]], [[[0, 1, 0], [0, 0, 0]]]]


def test_noise_is_a_function_of_seed_and_step_and_of_nothing_else():
    made = mapping("noise -> image")
    (noise,) = made.inputs(a_batch(), seed=3, step=4)
    torch.manual_seed(99)
    (again,) = made.inputs(a_batch(), seed=3, step=4)
    assert torch.equal(noise, again)
    assert not torch.equal(noise, made.noise(a_batch(), 3, 5))
    assert not torch.equal(noise, made.noise(a_batch(), 4, 4))


def test_noise_leaves_the_global_generator_alone():
    batch = a_batch()
    before = torch.random.get_rng_state()
    mapping("labels -> image").inputs(batch, seed=0, step=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_noise_is_standard_normal():
    batch = Batch(torch.zeros(1000, 1, 1, 1), torch.zeros(1000, 1, 1, dtype=torch.int64), ())
    noise = GeneratorMapping("noise -> image", FORM, 20).noise(batch, 0, 0).flatten()
    assert abs(noise.mean()) < 0.03  # four standard errors of 20 000 values
    assert abs(noise.var() - 1) < 0.04


@pytest.mark.parametrize("maps", ["image -> labels", "image, labels -> labels"])
def test_logits_are_compared_with_the_labels(maps):
    batch = a_batch()
    assert mapping(maps).target(batch) is batch.labels


def test_colours_are_compared_with_the_palette_and_void_with_nothing():
    target = mapping("image -> image").target(a_batch())
    assert target[0].movedim(0, -1).tolist() == [[[-1, -1, -1], [1, -1, -1]]]
    assert target[1, :, 0, 0].tolist() == [1, 1, 1]
    assert target[1, :, 0, 1].isnan().all()


def test_painted_images_are_compared_with_the_images():
    batch = a_batch()
    assert mapping("labels -> image").target(batch) is batch.images


@pytest.mark.parametrize("maps", MAPS)
def test_trained_methods_take_the_same_random_input_every_time(maps):
    first, second = (inference_inputs(mapping(maps), 5, 2, (6, 8), CPU) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(len(given) == 2 for given in first)
    if maps in SEGMENTING_MAPS:  # a refiner has its base in front of it
        assert [tuple(given.shape) for given in first] == [(2, 5, 6, 8)]
        assert first[0].min() >= -1
        assert first[0].max() <= 1
    elif maps == "labels -> image":
        labels, noise = first
        assert labels.shape == (2, 3, 6, 8)
        assert (labels.sum(dim=1) == 1).all()
        assert noise.shape == (2, 7)
    else:
        assert [tuple(given.shape) for given in first] == [(2, 7)]


@pytest.mark.parametrize(
    ("maps", "given", "made"),
    [
        ("image -> labels", 5, 3),
        ("image, labels -> labels", 5, 3),
        ("image -> image", 5, 3),
        ("labels -> image", 3, 5),
        ("noise -> image", 5, 5),
        ("noise -> image, labels", 5, 8),
    ],
)
def test_channels_of_input_and_output_follow_from_the_data(maps, given, made):
    four_colours = FieldForm(3, 255, PALETTE)
    assert GeneratorMapping(maps, four_colours, 7).input_channels(5) == given
    assert GeneratorMapping(maps, four_colours, 7).output_channels(5) == made


def test_colours_have_three_channels_whatever_the_number_of_classes():
    assert GeneratorMapping("image -> image", FieldForm(11, 255, PALETTE), 7).output_channels(1) == 3


@pytest.mark.parametrize(
    ("maps", "scored"),
    [
        ("image -> labels", True),
        ("image, labels -> labels", True),
        ("image -> image", True),
        ("labels -> image", False),
        ("noise -> image", False),
        ("noise -> image, labels", False),
    ],
)
def test_what_makes_label_maps_of_images_is_scored(maps, scored):
    assert mapping(maps).predicts_labels is scored
