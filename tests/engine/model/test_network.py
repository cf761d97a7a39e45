from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from segbench.engine.model.network import Segmenter, auxiliary_target
from segbench.errors import PluginError


class Seen(nn.Module):
    """Returns its input, of one channel a class, reduced by `stride`; remembers what it saw."""

    def __init__(self, size_multiple=1, minimum_size=1, stride=1):
        super().__init__()
        self.size_multiple = size_multiple
        self.minimum_size = minimum_size
        self.stride = stride

    def forward(self, images):
        self.images = images
        return functional.avg_pool2d(images, self.stride)


class Returns(nn.Module):
    """Returns what it was made with."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


class WithAuxiliary(Seen):
    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits * 2) if self.training else logits

    def auxiliary_loss(self, auxiliary, target):
        self.target = target
        return functional.cross_entropy(*auxiliary, target)


def test_images_are_padded_with_mid_grey_below_and_on_the_right():
    network = Seen(size_multiple=4)
    images = torch.rand(1, 2, 5, 6) + 1
    Segmenter(network, 2)(images)
    assert network.images.shape == (1, 2, 8, 8)
    torch.testing.assert_close(network.images[..., :5, :6], images)
    assert network.images[..., 5:, :].abs().sum() == 0
    assert network.images[..., 6:].abs().sum() == 0


def test_padding_is_cut_off_the_logits():
    images = torch.rand(2, 3, 5, 6)
    torch.testing.assert_close(Segmenter(Seen(size_multiple=4), 3)(images), images)


def test_images_that_fit_reach_the_network_as_they_are():
    network = Seen(size_multiple=4)
    images = torch.rand(1, 2, 8, 4)
    Segmenter(network, 2)(images)
    assert network.images is images


def test_small_images_are_padded_to_the_minimum_size():
    network = Seen(size_multiple=4, minimum_size=10)
    logits = Segmenter(network, 2)(torch.rand(1, 2, 3, 17))
    assert network.images.shape == (1, 2, 12, 20)
    assert logits.shape == (1, 2, 3, 17)


def test_logits_of_another_size_are_resized_to_the_images():
    images = torch.rand(2, 3, 8, 12)
    expected = functional.interpolate(
        functional.avg_pool2d(images, 4), size=(8, 12), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(Segmenter(Seen(stride=4), 3)(images), expected)


def test_logits_of_another_size_stay_in_place_when_the_images_were_padded():
    images = torch.rand(1, 2, 6, 7)
    padded = functional.pad(images, (0, 1, 0, 2))
    expected = Segmenter(Seen(stride=4), 2)(padded)[..., :6, :7]
    torch.testing.assert_close(Segmenter(Seen(size_multiple=8, stride=4), 2)(images), expected)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 30))
def test_logits_have_the_size_of_the_images_whatever_it_is(height, width, multiple, minimum):
    network = Seen(multiple, minimum)
    assert Segmenter(network, 1)(torch.zeros(1, 1, height, width)).shape == (1, 1, height, width)
    assert all(length % multiple == 0 and length >= minimum for length in network.images.shape[-2:])


def test_padding_keeps_the_memory_format():
    network = Seen(size_multiple=4)
    Segmenter(network, 3)(torch.rand(2, 3, 5, 6).to(memory_format=torch.channels_last))
    assert network.images.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_passes_through():
    network = nn.Conv2d(3, 2, kernel_size=2, stride=2)
    network.size_multiple = 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = Segmenter(network, 2)(torch.rand(1, 3, 5, 5))
    assert logits.dtype is torch.bfloat16
    assert logits.shape == (1, 2, 5, 5)


def test_forward_is_one_graph_for_the_compiler():
    segmenter = Segmenter(WithAuxiliary(size_multiple=4, stride=2), 2).train()
    images = torch.rand(1, 2, 5, 6)
    compiled = torch.compile(segmenter, backend="eager", fullgraph=True)
    for given_, expected in zip(compiled(images), segmenter(images), strict=True):
        torch.testing.assert_close(given_, expected)


def test_auxiliary_outputs_pass_through_in_training_only():
    segmenter = Segmenter(WithAuxiliary(size_multiple=4), 2)
    images = torch.rand(1, 2, 5, 6)
    logits, auxiliary = segmenter.train()(images)
    assert logits.shape == (1, 2, 5, 6)
    assert auxiliary.shape == (1, 2, 8, 8)
    assert segmenter.eval()(images).shape == (1, 2, 5, 6)


def test_a_plain_output_has_no_auxiliary_loss():
    segmenter = Segmenter(Seen(), 2).train()
    logits, loss = segmenter.split(segmenter(torch.rand(1, 2, 3, 3)), torch.zeros(1, 3, 3, dtype=torch.int64), 255)
    assert logits.shape == (1, 2, 3, 3)
    assert loss is None


def test_a_network_may_return_auxiliary_outputs_without_a_loss():
    logits = torch.rand(1, 2, 3, 3)
    segmenter = Segmenter(Returns((logits, logits)), 2).train()
    assert segmenter.split(segmenter(logits), torch.zeros(1, 3, 3, dtype=torch.int64), 255)[1] is None


def test_the_auxiliary_loss_sees_labels_padded_as_the_images_were_and_with_torchs_ignored_label():
    network = WithAuxiliary(size_multiple=4)
    segmenter = Segmenter(network, 2).train()
    labels = torch.tensor([[[0, 1, 7], [1, 7, 0]]])
    _, loss = segmenter.split(segmenter(torch.rand(1, 2, 2, 3)), labels, ignore_index=7)
    expected = torch.full((1, 4, 4), -100)
    expected[0, :2, :3] = torch.tensor([[0, 1, -100], [1, -100, 0]])
    assert network.target.equal(expected)
    assert loss.ndim == 0


def test_the_auxiliary_target_leaves_other_labels_and_its_argument_alone():
    labels = torch.tensor([[[0, 255, 3]]])
    assert auxiliary_target(labels, 255).tolist() == [[[0, -100, 3]]]
    assert auxiliary_target(labels, 0).tolist() == [[[-100, 255, 3]]]
    assert labels.tolist() == [[[0, 255, 3]]]


def test_an_auxiliary_loss_that_is_no_scalar_is_the_plugins_fault():
    network = WithAuxiliary()
    network.auxiliary_loss = lambda auxiliary, target: torch.zeros(2)
    segmenter = Segmenter(network, 2).train()
    with pytest.raises(PluginError, match=r"auxiliary_loss returned a tensor \(2,\); expected a scalar"):
        segmenter.split(segmenter(torch.rand(1, 2, 2, 2)), torch.zeros(1, 2, 2, dtype=torch.int64), 255)


@pytest.mark.parametrize(
    ("output", "described"),
    [
        ({"out": torch.zeros(2, 3, 4, 4)}, "a dict"),
        (None, "a NoneType"),
        (torch.zeros(2, 4, 4), r"a tensor \(2, 4, 4\)"),
        (torch.zeros(2, 5, 4, 4), r"a tensor \(2, 5, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4), r"a tensor \(1, 3, 4, 4\)"),
        ((), "a tuple of 0"),
    ],
)
@pytest.mark.parametrize("mode", [True, False])
def test_a_wrong_output_is_an_error_that_says_what_was_expected(output, described, mode):
    segmenter = Segmenter(Returns(output), 3).train(mode)
    expected = rf"Returns returned {described} in .* expected a tensor \(2, 3, height, width\)"
    with pytest.raises(PluginError, match=expected):
        segmenter(torch.zeros(2, 1, 4, 4))


def test_auxiliary_outputs_in_evaluation_are_an_error():
    logits = torch.zeros(1, 2, 4, 4)
    with pytest.raises(PluginError, match="returned a tuple of 2 in evaluation"):
        Segmenter(Returns((logits, logits)), 2).eval()(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("size", [0, -1, "32", None])
@pytest.mark.parametrize("attribute", ["size_multiple", "minimum_size"])
def test_a_size_that_is_no_number_of_pixels_is_an_error(attribute, size):
    network = Seen()
    setattr(network, attribute, size)
    with pytest.raises(PluginError, match=attribute):
        Segmenter(network, 2)
