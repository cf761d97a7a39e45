from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench import Sample
from segbench.config.protocol import Budget, TrainingProtocol, Window
from segbench.config.resize import Resize
from segbench.config.views import Views
from segbench.engine.evaluation.inference import class_scores
from segbench.engine.model.network import Decoded, Refined, Segmenter
from segbench.engine.timing.stages import (
    ImageReader,
    argmax_step,
    forward_step,
    loading_step,
    network_alone,
    runtime_step,
)

CPU = torch.device("cpu")


def protocol(**settings):
    return TrainingProtocol(budget=Budget(steps=1), **settings)


class Halving(torch.nn.Module):
    """Logits of two classes at half the size: the mean brightness of 2x2 pixels, and 0."""

    size_multiple = 2

    def forward(self, images, *others):
        means = torch.nn.functional.avg_pool2d(images, 2)
        return torch.cat([means, torch.zeros_like(means)], dim=1)


def halving():
    return Segmenter(Halving(), 2).eval()


def test_the_forward_pass_ends_before_logits_are_resized():
    images = torch.zeros(2, 1, 4, 6)
    step = forward_step(network_alone(halving()), (images,), protocol())
    assert step().shape == (2, 2, 2, 3)
    assert halving()(images).shape == (2, 2, 4, 6)


def test_the_forward_pass_sees_padded_images():
    step = forward_step(network_alone(halving()), (torch.zeros(1, 1, 3, 5),), protocol())
    assert step().shape == (1, 2, 2, 3)


def test_of_a_refiner_behind_its_base_only_the_refiner_ends_before_its_logits_are_resized():
    network = network_alone(Refined(halving(), halving()))
    assert forward_step(network, (torch.zeros(1, 1, 4, 4),), protocol())().shape == (1, 2, 2, 2)


def test_a_generator_of_colours_ends_before_they_are_decoded():
    painter = Segmenter(torch.nn.Conv2d(1, 3, 1), 3)
    network = network_alone(Decoded(painter, torch.zeros(5, 3)))
    assert forward_step(network, (torch.zeros(1, 1, 4, 4),), protocol())().shape == (1, 3, 4, 4)


def test_a_generator_of_images_is_timed_as_it_is_and_given_all_that_it_takes():
    network = torch.nn.Bilinear(3, 4, 5)
    assert network_alone(network) is network
    step = forward_step(network, (torch.ones(2, 3), torch.ones(2, 4)), protocol(precision="bf16"))
    made = step()
    assert made.shape == (2, 5)
    assert not made.requires_grad


def test_the_network_is_applied_once_an_iteration_without_gradients():
    network = torch.nn.Conv2d(3, 2, 1)
    calls = []
    network.register_forward_hook(lambda *call: calls.append(call))
    step = forward_step(network, (torch.zeros(1, 3, 4, 4),), protocol())
    assert calls == []
    assert not step().requires_grad
    assert len(calls) == 1


def test_with_a_window_the_network_is_applied_to_each():
    network = torch.nn.Conv2d(1, 2, 1)
    shapes = []
    network.register_forward_pre_hook(lambda module, inputs: shapes.append(tuple(inputs[0].shape)))
    window = Window(size=(4, 4), stride=(2, 4))
    forward_step(network, (torch.zeros(3, 1, 6, 8),), protocol(window=window))()
    assert shapes == [(3, 1, 4, 4)] * 4


def test_with_views_the_network_is_applied_to_each():
    network = torch.nn.Conv2d(1, 2, 1)
    shapes = []
    network.register_forward_pre_hook(lambda module, inputs: shapes.append(tuple(inputs[0].shape[2:])))
    given = protocol(tta=Views(flip=True, scales=(0.5, 1.0)), window=Window(size=(4, 8), stride=(2, 8)))
    forward_step(network, (torch.zeros(3, 1, 6, 8),), given)()
    assert shapes == [(3, 4)] * 2 + [(4, 8)] * 4


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "stage", [forward_step, lambda network, inputs, given: argmax_step(network, inputs[0], given, (4, 5))]
)
def test_images_go_in_in_the_layout_of_the_protocol(stage, channels_last):
    seen = []
    network = torch.nn.Conv2d(3, 2, 1)
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    stage(network, (torch.zeros(2, 3, 4, 5),), protocol(channels_last=channels_last))()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert seen[0].is_contiguous(memory_format=layout)


def test_labels_are_those_that_evaluation_sees():
    images = torch.rand(2, 1, 6, 8) * 2 - 1
    labels = argmax_step(halving(), images, protocol(), (6, 8))()
    expected = class_scores(halving(), images, precision="fp32", window=None).argmax(dim=1)
    assert torch.equal(labels, expected)
    assert labels.dtype == torch.uint8


def samples(*values, dtype=np.uint8, shape=(2, 2)):
    """Grey images, each of one value."""
    return [Sample(np.full(shape, value, dtype), np.zeros((2, 2), np.uint8), str(value)) for value in values]


def read(reader, number):
    return reader.read(number, protocol())[0][:, 0, 0, 0].tolist()


def test_images_are_read_in_order_and_again_from_the_start():
    reader = ImageReader(samples(0, 51, 255), [0, 1, 2], 1, CPU)
    assert read(reader, 2) == pytest.approx([-1, -0.6])
    assert read(reader, 2) == pytest.approx([1, -1])


def test_only_the_given_places_are_read():
    reader = ImageReader(samples(0, 51, 255), [2, 1], 1, CPU)
    assert read(reader, 3) == pytest.approx([1, -0.6, 1])


def test_sixteen_bit_images_are_white_at_65535():
    reader = ImageReader(samples(65535, dtype=np.uint16), [0], 1, CPU)
    assert read(reader, 1) == [1]


def test_channels_come_first_in_the_layout_that_is_asked_for():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    reader = ImageReader([Sample(pixels, np.zeros((2, 4), np.uint8), "a")], [0], 3, CPU)
    images, size = reader.read(2, protocol(channels_last=True))
    assert size == (2, 4)
    assert images.shape == (2, 3, 2, 4)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, 1, 0, 2] * 127.5 + 127.5 == pytest.approx(pixels[0, 2, 1])


def test_loading_gives_the_labels_of_the_images_it_reads():
    reader = ImageReader(samples(255, 0), [0, 1], 1, CPU)
    labels = loading_step(halving(), reader, 1, protocol())
    assert labels().tolist() == [[[0, 0], [0, 0]]]  # white scores 1, the other class 0
    assert labels().tolist() == [[[1, 1], [1, 1]]]


def test_loading_resizes_images_and_gives_labels_of_their_own_size():
    white_above = np.repeat(np.array([255, 0], np.uint8), 4)[:, None].repeat(6, axis=1)
    reader = ImageReader([Sample(white_above, np.zeros((8, 6), np.uint8), "a")], [0], 1, CPU)
    halved = protocol(resize=Resize(factor=0.5))
    images, size = reader.read(1, halved)
    assert (tuple(images.shape), size) == ((1, 1, 4, 3), (8, 6))
    assert images[0, 0, :, 0].tolist() == pytest.approx([1, 0.75, -0.75, -1], abs=0.01)  # by hand, a triangle filter
    labels = loading_step(halving(), reader, 1, halved)()
    assert labels.shape == (1, 8, 6)
    assert labels[0, 0, 0] == 0
    assert labels[0, 7, 0] == 1


def test_another_runtime_does_what_the_network_alone_does():
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    network, images = network_alone(halving()), torch.rand(2, 1, 4, 6)
    torch.testing.assert_close(
        runtime_step("onnxruntime", network, (images,))(), forward_step(network, (images,), protocol())()
    )
