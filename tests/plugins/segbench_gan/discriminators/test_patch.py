from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from segbench import SegbenchError
from segbench_gan.discriminators import build_patchgan


def seen_by(network, size):
    """Rows and columns of the input that have a gradient from the score in the middle."""
    x = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    scores = network.double().eval()(x)[0, 0]
    scores[scores.shape[0] // 2, scores.shape[1] // 2].backward()
    seen = x.grad[0, 0] != 0
    return seen.any(1).sum(), seen.any(0).sum(), seen.sum()


@pytest.mark.parametrize("receptive_field", [1, 16, 70, 286])
def test_a_score_sees_a_square_of_exactly_its_receptive_field(receptive_field):
    size = receptive_field + 162  # so that the middle score is far enough from every edge
    network = build_patchgan(1, (size, size), receptive_field=receptive_field, width=2)
    assert seen_by(network, size) == (receptive_field, receptive_field, receptive_field**2)


@pytest.mark.parametrize(("receptive_field", "scores"), [(1, 256), (16, 126), (70, 30), (286, 6)])
def test_256_pixels_give_as_many_scores_as_published(receptive_field, scores):
    network = build_patchgan(3, (256, 256), receptive_field=receptive_field, width=1)
    assert network(torch.zeros(2, 3, 256, 256)).shape == (2, 1, scores, scores)


def test_70_pixels_have_the_parameters_counted_by_hand(parameters):
    # 4x4 kernels; a bias in the first and the last convolution, scale and shift of batch norm in the others.
    widths = (64, 128, 256, 512)
    normed = sum(16 * inputs * outputs + 2 * outputs for inputs, outputs in pairwise(widths))
    expected = (16 * 6 * 64 + 64) + normed + (16 * 512 + 1)
    assert parameters(build_patchgan(6, (256, 256))) == expected == 2_768_705


def test_286_pixels_have_the_widths_of_the_paper():
    # C64-C128-C256-C512-C512-C512 and the scores.
    network = build_patchgan(3, (286, 286), receptive_field=286, norm="none")
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 512, 512, 1]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 2, 2, 1, 1]


def test_one_pixel_has_the_widths_of_the_paper(parameters):
    # C64-C128 of 1x1 kernels, the second with batch norm, and the scores.
    assert parameters(build_patchgan(3, (16, 16), receptive_field=1)) == (3 * 64 + 64) + (64 * 128 + 256) + (128 + 1)


def test_weights_start_as_the_paper_says():
    torch.manual_seed(0)
    for layer in build_patchgan(6, (70, 70)).modules():
        if isinstance(layer, nn.Conv2d):
            error = 4 * 0.02 / layer.weight.numel() ** 0.5  # 4 standard errors
            assert layer.weight.mean().item() == pytest.approx(0, abs=error)
            assert layer.weight.std().item() == pytest.approx(0.02, abs=error)
            assert layer.bias is None or not layer.bias.any()


def test_an_input_below_24_pixels_is_padded_with_zeros_to_one_score():
    network = build_patchgan(3, (17, 16), width=2).eval()
    x = torch.randn(1, 3, 17, 16)
    padded = torch.zeros(1, 3, 24, 24)
    padded[:, :, 3:20, 4:20] = x
    assert network(x).shape == (1, 1, 1, 1)
    torch.testing.assert_close(network(x), network(padded))


def test_crops_too_small_for_286_pixels_are_an_error_when_it_is_built():
    message = r"gan/patchgan: size is 95 x 128; a receptive_field of 286 needs at least 96 x 96 pixels: give larger"
    with pytest.raises(SegbenchError, match=message):
        build_patchgan(3, (95, 128), receptive_field=286)


def test_an_input_too_small_for_286_pixels_is_an_error():
    network = build_patchgan(3, (96, 96), receptive_field=286, width=1)
    assert network(torch.zeros(2, 3, 96, 96)).shape == (2, 1, 1, 1)
    with pytest.raises(SegbenchError, match="size is 96 x 95; a receptive_field of 286 needs at least 96 x 96"):
        network(torch.zeros(2, 3, 96, 95))
