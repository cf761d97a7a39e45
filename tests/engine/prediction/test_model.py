from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from segbench.config.resize import Resize
from segbench.config.views import Views
from segbench.engine.evaluation.inference import predict_image
from segbench.engine.model.network import Segmenter
from segbench.engine.prediction.model import LabelModel
from segbench.engine.recorded import load_segmenter


@pytest.fixture
def recorded(trained_cell):
    """The network of a recorded cell of three classes."""
    return load_segmenter(trained_cell, torch.device("cpu"))


def random_images(number, height, width):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (number, 3, height, width), dtype=np.uint8))


class LabelsByPosition(nn.Module):
    """A network whose logits depend on the whole padded image, and which refuses sizes that are no multiple of 8."""

    size_multiple, minimum_size = 8, 24

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        assert images.shape[2] % 8 == images.shape[3] % 8 == 0
        assert min(images.shape[2:]) >= 24
        mean = images.mean(dim=(2, 3), keepdim=True)
        return nn.functional.avg_pool2d(images - mean, 4)


def test_labels_are_the_classes_of_the_largest_logits(recorded):
    images = random_images(2, 17, 22)
    with torch.no_grad():
        expected = recorded.network(images / 127.5 - 1).argmax(dim=1)
    labels = LabelModel(recorded)(images)
    assert labels.dtype == torch.int64
    torch.testing.assert_close(labels, expected)


def test_an_image_of_16_bits_has_the_labels_of_its_8_bit_version(recorded):
    images = random_images(1, 9, 11)
    model = LabelModel(recorded)
    torch.testing.assert_close(model((images.int() * 257).to(torch.uint16)), model(images))


@pytest.mark.parametrize("size", [(5, 9), (24, 32), (33, 40), (41, 27)])
def test_images_are_padded_as_the_network_asks_and_labels_are_cut(recorded, size):
    padding = replace(recorded, network=Segmenter(LabelsByPosition(), 3).eval())
    image = random_images(1, *size)
    expected = predict_image(padding.network, image[0], 255, recorded.protocol).labels
    np.testing.assert_array_equal(LabelModel(padding)(image)[0].numpy(), expected)


@pytest.mark.parametrize("tta", [False, True])
def test_images_are_resized_as_for_the_scores_but_for_rounding(recorded, tta):
    update = {"resize": Resize(factor=0.6), "tta": Views(flip=True) if tta else None}
    protocol = recorded.protocol.model_copy(update=update)
    image = random_images(1, 40, 50)
    expected = predict_image(recorded.network, image[0], 255, protocol).labels
    labels = LabelModel(replace(recorded, protocol=protocol))(image)[0].numpy()
    assert labels.shape == (40, 50)
    assert (labels == expected).mean() > 0.95


def test_it_names_classes_colours_and_key_and_has_no_gradients(recorded):
    model = LabelModel(recorded)
    assert (model.classes, model.palette, model.key) == (
        recorded.dataset.classes,
        recorded.dataset.palette,
        recorded.key,
    )
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
