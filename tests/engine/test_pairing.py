from __future__ import annotations

import pytest
import torch

from segbench.contracts import MAPS
from segbench.engine.data.batches import Batch
from segbench.engine.mapping import Mapping
from segbench.engine.pairing import FieldForm, critic_channels, pairing, palette_image, predicted_fields
from segbench.spec.recipe import Encoding

PALETTE = ((0, 0, 0), (255, 255, 255), (255, 0, 0))
FORM = FieldForm(num_classes=3, ignore_index=255, palette=PALETTE)


def a_batch() -> Batch:
    """Two images of two channels, 4 x 5 pixels; the upper left pixel is ignored."""
    torch.manual_seed(0)
    labels = torch.randint(3, (2, 4, 5))
    labels[:, 0, 0] = 255
    return Batch(torch.rand(2, 2, 4, 5), labels, (0, 1), torch.rand(2, 3, 4, 5).softmax(1))


def output_of(maps: str) -> torch.Tensor:
    channels = Mapping(maps, FORM, 7).output_channels(2)
    return torch.rand(2, channels, 4, 5, requires_grad=True)


@pytest.mark.parametrize("maps", MAPS)
@pytest.mark.parametrize("encoding", ["one_hot", "straight_through", "product"])
def test_real_and_fake_have_the_channels_that_the_critic_is_built_for(maps, encoding):
    form = FieldForm(3, 255, PALETTE, Encoding(use=encoding))
    pair = pairing(maps, a_batch(), output_of(maps), form)
    assert pair.real.shape == pair.fake.shape
    condition = 0 if pair.condition is None else pair.condition.shape[1]
    assert condition + pair.real.shape[1] == critic_channels(maps, 2, form)


@pytest.mark.parametrize("maps", MAPS)
def test_gradients_reach_the_output_through_the_fake_only(maps):
    output = output_of(maps)
    pair = pairing(maps, a_batch(), output, FORM)
    assert pair.fake.requires_grad
    assert not pair.real.requires_grad
    (gradient,) = torch.autograd.grad((pair.fake * torch.rand_like(pair.fake)).sum(), output)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("encoding", ["one_hot", "smoothed", "scaled", "confidence_matched", "straight_through"])
@pytest.mark.parametrize("maps", ["image -> labels", "image, labels -> labels", "image -> image"])
def test_ignored_pixels_are_one_constant_in_real_and_fake(maps, encoding):
    pair = pairing(maps, a_batch(), output_of(maps), FieldForm(3, 255, PALETTE, Encoding(use=encoding)))
    assert pair.real[:, :, 0, 0].abs().sum() == 0
    assert pair.fake[:, :, 0, 0].abs().sum() == 0
    assert pair.mask[:, 0, 0, 0].tolist() == [False, False]
    assert pair.mask.sum() == 2 * (4 * 5 - 1)


def test_a_segmenter_is_judged_by_truth_and_prediction_under_the_image():
    batch, logits = a_batch(), output_of("image -> labels")
    pair = pairing("image -> labels", batch, logits, FieldForm(3, 255, PALETTE, Encoding(use="one_hot")))
    assert pair.condition is batch.images
    valid = batch.labels != 255
    assert torch.equal(pair.real.argmax(1)[valid], batch.labels[valid])
    torch.testing.assert_close(pair.fake[:, :, 1:], logits.softmax(1)[:, :, 1:])


def test_without_a_condition_the_image_is_not_shown():
    form = FieldForm(3, 255, PALETTE, conditional=False)
    assert pairing("image -> labels", a_batch(), output_of("image -> labels"), form).condition is None
    assert critic_channels("image -> labels", 2, form) == 3


def test_colours_are_compared_with_the_palette():
    pair = pairing("image -> image", a_batch(), output_of("image -> image"), FORM)
    seen = {tuple(colour) for colour in pair.real[0, :, 1:].flatten(1).t().tolist()}
    assert seen <= {(-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (1.0, -1.0, -1.0)}


def test_a_painter_of_labels_is_judged_under_them():
    batch = a_batch()
    pair = pairing("labels -> image", batch, output_of("labels -> image"), FORM)
    assert pair.condition.shape == (2, 3, 4, 5)
    assert pair.condition[:, :, 0, 0].sum() == 0
    assert pair.real is batch.images
    assert pair.mask.all()


def test_a_joint_generator_is_judged_by_image_and_labels_side_by_side():
    batch, output = a_batch(), output_of("noise -> image, labels")
    pair = pairing("noise -> image, labels", batch, output, FORM)
    assert pair.condition is None
    assert torch.equal(pair.real[:, :2], batch.images)
    torch.testing.assert_close(pair.fake[:, :2], output[:, :2])
    assert set(pair.fake[:, 2:].unique().tolist()) <= {0.0, 1.0}


def test_unknown_maps_are_a_programming_error():
    with pytest.raises(ValueError, match="no generator maps 'sound -> labels'"):
        pairing("sound -> labels", a_batch(), output_of("image -> labels"), FORM)


def test_predictions_without_truth_have_the_form_of_fakes():
    batch, logits = a_batch(), output_of("image -> labels")
    condition, fake = predicted_fields("image -> labels", batch.images, logits, FORM)
    pair = pairing("image -> labels", batch, logits, FORM)
    assert condition is batch.images
    assert torch.equal(fake * pair.mask, pair.fake)


def test_void_has_no_palette_colour():
    image = palette_image(torch.tensor([[[2, 255]]]), FORM)
    assert image[0, :, 0, 0].tolist() == [1, -1, -1]
    assert image[0, :, 0, 1].isnan().all()
