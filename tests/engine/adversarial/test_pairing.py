from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from segbench.config.recipe import Encoding
from segbench.contract import MAPS
from segbench.engine.adversarial.pairing import (
    discriminator_channels,
    encode_fake,
    encode_prediction,
    encode_real,
    encoded_channels,
    make_pair,
)
from segbench.engine.data.batches import Batch
from segbench.engine.model.mapping import FieldForm, GeneratorMapping, palette_image

PALETTE = ((0, 0, 0), (255, 255, 255), (255, 0, 0))


FORM = FieldForm(num_classes=3, ignore_index=255, palette=PALETTE)


def a_batch() -> Batch:
    """Two images of two channels, 4 x 5 pixels; the upper left pixel is ignored."""
    torch.manual_seed(0)
    labels = torch.randint(3, (2, 4, 5))
    labels[:, 0, 0] = 255
    return Batch(torch.rand(2, 2, 4, 5), labels, (0, 1), torch.rand(2, 3, 4, 5).softmax(1))


def output_of(maps: str) -> torch.Tensor:
    channels = GeneratorMapping(maps, FORM, 7).output_channels(2)
    return torch.rand(2, channels, 4, 5, requires_grad=True)


@pytest.mark.parametrize("maps", MAPS)
@pytest.mark.parametrize("encoding", ["one_hot", "straight_through", "product"])
def test_real_and_fake_have_the_channels_that_the_discriminator_is_built_for(maps, encoding):
    form = FieldForm(3, 255, PALETTE, Encoding(use=encoding))
    pair = make_pair(maps, a_batch(), output_of(maps), form)
    assert pair.real.shape == pair.fake.shape
    condition = 0 if pair.condition is None else pair.condition.shape[1]
    assert condition + pair.real.shape[1] == discriminator_channels(maps, 2, form)


@pytest.mark.parametrize("maps", MAPS)
def test_gradients_reach_the_output_through_the_fake_only(maps):
    output = output_of(maps)
    pair = make_pair(maps, a_batch(), output, FORM)
    assert pair.fake.requires_grad
    assert not pair.real.requires_grad
    (gradient,) = torch.autograd.grad((pair.fake * torch.rand_like(pair.fake)).sum(), output)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("encoding", ["one_hot", "smoothed", "scaled", "confidence_matched", "straight_through"])
@pytest.mark.parametrize("maps", ["image -> labels", "image, labels -> labels", "image -> image"])
def test_ignored_pixels_are_one_constant_in_real_and_fake(maps, encoding):
    pair = make_pair(maps, a_batch(), output_of(maps), FieldForm(3, 255, PALETTE, Encoding(use=encoding)))
    assert pair.real[:, :, 0, 0].abs().sum() == 0
    assert pair.fake[:, :, 0, 0].abs().sum() == 0
    assert pair.mask[:, 0, 0, 0].tolist() == [False, False]
    assert pair.mask.sum() == 2 * (4 * 5 - 1)


def test_a_segmenter_is_judged_by_truth_and_prediction_under_the_image():
    batch, logits = a_batch(), output_of("image -> labels")
    pair = make_pair("image -> labels", batch, logits, FieldForm(3, 255, PALETTE, Encoding(use="one_hot")))
    assert pair.condition is batch.images
    valid = batch.labels != 255
    assert torch.equal(pair.real.argmax(1)[valid], batch.labels[valid])
    torch.testing.assert_close(pair.fake[:, :, 1:], logits.softmax(1)[:, :, 1:])


def test_without_a_condition_the_image_is_not_shown():
    form = FieldForm(3, 255, PALETTE, conditional=False)
    assert make_pair("image -> labels", a_batch(), output_of("image -> labels"), form).condition is None
    assert discriminator_channels("image -> labels", 2, form) == 3


def test_colours_are_compared_with_the_palette():
    pair = make_pair("image -> image", a_batch(), output_of("image -> image"), FORM)
    seen = {tuple(colour) for colour in pair.real[0, :, 1:].flatten(1).t().tolist()}
    assert seen <= {(-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (1.0, -1.0, -1.0)}


def test_a_painter_of_labels_is_judged_under_them():
    batch = a_batch()
    pair = make_pair("labels -> image", batch, output_of("labels -> image"), FORM)
    assert pair.condition.shape == (2, 3, 4, 5)
    assert pair.condition[:, :, 0, 0].sum() == 0
    assert pair.real is batch.images
    assert pair.mask.all()


def test_a_joint_generator_is_judged_by_image_and_labels_side_by_side():
    batch, output = a_batch(), output_of("noise -> image, labels")
    pair = make_pair("noise -> image, labels", batch, output, FORM)
    assert pair.condition is None
    assert torch.equal(pair.real[:, :2], batch.images)
    torch.testing.assert_close(pair.fake[:, :2], output[:, :2])
    assert set(pair.fake[:, 2:].unique().tolist()) <= {0.0, 1.0}


def test_unknown_maps_are_a_programming_error():
    with pytest.raises(ValueError, match="no generator maps 'sound -> labels'"):
        make_pair("sound -> labels", a_batch(), output_of("image -> labels"), FORM)


def test_predictions_without_truth_have_the_form_of_fakes():
    batch, logits = a_batch(), output_of("image -> labels")
    condition, fake = encode_prediction("image -> labels", batch.images, logits, FORM)
    pair = make_pair("image -> labels", batch, logits, FORM)
    assert condition is batch.images
    assert torch.equal(fake * pair.mask, pair.fake)


def test_void_has_no_palette_colour():
    image = palette_image(torch.tensor([[[2, 255]]]), FORM)
    assert image[0, :, 0, 0].tolist() == [1, -1, -1]
    assert image[0, :, 0, 1].isnan().all()


NAMES = ("one_hot", "smoothed", "scaled", "product", "confidence_matched", "straight_through")


def pixel(*values: float) -> torch.Tensor:
    """Return one pixel of so many classes, (1, K, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1)


def real_of(name: str, truth: torch.Tensor, prediction: torch.Tensor, images=None, **options) -> list[float]:
    images = torch.ones(1, 1, 1, 1) if images is None else images
    return encode_real(Encoding(use=name, **options), truth, prediction, images).flatten().tolist()


def random_fields(seed: int, num_classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return truth, probabilities and images of 2 x 5 x 6 pixels."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(num_classes, (2, 5, 6), generator=generator)
    one_hot = functional.one_hot(truth, num_classes).movedim(-1, 1).float()
    probabilities = (3 * torch.randn(2, num_classes, 5, 6, generator=generator)).softmax(1)
    return one_hot, probabilities, torch.rand(2, 3, 5, 6, generator=generator)


def test_smoothing_spreads_a_share_over_all_classes():
    assert real_of("smoothed", pixel(1, 0), pixel(0.5, 0.5), smoothing=0.2) == pytest.approx([0.9, 0.1])


def test_scaling_raises_the_true_class_to_tau_and_shrinks_the_others_alike():
    # Luc 2016: 0.9 at the true class; the others 0.3 and 0.2 of 0.5 share the remaining 0.1.
    assert real_of("scaled", pixel(1, 0, 0), pixel(0.5, 0.3, 0.2)) == pytest.approx([0.9, 0.06, 0.04])


def test_scaling_leaves_a_prediction_that_is_sure_of_the_truth_as_it_is():
    assert real_of("scaled", pixel(1, 0, 0), pixel(0.95, 0.03, 0.02)) == pytest.approx([0.95, 0.03, 0.02])


def test_matching_moves_the_top_probability_to_the_true_class():
    assert real_of("confidence_matched", pixel(0, 1, 0), pixel(0.7, 0.2, 0.1)) == pytest.approx([0.2, 0.7, 0.1])


def test_the_product_multiplies_every_class_by_every_channel():
    images = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    assert real_of("product", pixel(0, 1), pixel(0.5, 0.5), images) == [0, 0, 2, 3]
    fake = encode_fake(Encoding(use="product"), pixel(0.5, 0.25), images)
    assert fake.flatten().tolist() == [1.0, 1.5, 0.5, 0.75]


@given(st.integers(0, 1000))
def test_straight_through_is_exactly_one_hot_and_has_the_gradient_of_the_probabilities(seed):
    _, probabilities, images = random_fields(seed)
    probabilities.requires_grad_()
    fake = encode_fake(Encoding(use="straight_through"), probabilities, images)
    assert set(fake.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(fake.argmax(1), probabilities.argmax(1))
    weights = torch.rand_like(fake)
    (gradient,) = torch.autograd.grad((weights * fake).sum(), probabilities)
    assert torch.equal(gradient, weights)


@pytest.mark.parametrize("name", ["confidence_matched", "straight_through"])
@given(seed=st.integers(0, 1000))
def test_a_leak_free_encoding_makes_real_and_fake_equal_where_the_prediction_is_right(name, seed):
    _, probabilities, images = random_fields(seed)
    truth = functional.one_hot(probabilities.argmax(1), 4).movedim(-1, 1).float()
    encoding = Encoding(use=name)
    assert torch.equal(
        encode_real(encoding, truth, probabilities, images), encode_fake(encoding, probabilities, images)
    )


@pytest.mark.parametrize("name", ["smoothed", "scaled", "confidence_matched", "one_hot", "straight_through"])
@given(seed=st.integers(0, 1000))
def test_encoded_truth_stays_a_distribution_whose_top_class_is_true(name, seed):
    truth, probabilities, images = random_fields(seed)
    real = encode_real(Encoding(use=name), truth, probabilities, images)
    torch.testing.assert_close(real.sum(1), torch.ones(2, 5, 6))
    assert real.min() >= 0
    assert torch.equal(real.argmax(1), truth.argmax(1))


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_lets_no_gradient_through_and_the_prediction_does(name):
    truth, probabilities, images = random_fields(0)
    probabilities.requires_grad_()
    encoding = Encoding(use=name)
    assert not encode_real(encoding, truth, probabilities, images).requires_grad
    assert encode_fake(encoding, probabilities, images).requires_grad
    assert encode_real(encoding, truth, probabilities, images).shape[1] == encoded_channels(encoding, 4, 3)
