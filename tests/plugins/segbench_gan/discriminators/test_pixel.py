from __future__ import annotations

import torch
from torch.nn import functional

from segbench_gan.discriminators import build_pixel


def test_a_score_sees_94_by_94_pixels():
    network = build_pixel(1, width=2).double()
    x = torch.randn(1, 1, 192, 192, dtype=torch.float64, requires_grad=True)
    network.head(network.features(x)[-1])[0, 0, 3, 3].backward()
    seen = x.grad[0, 0] != 0
    assert seen.any(1).sum() == seen.any(0).sum() == 94


def test_it_has_the_parameters_counted_by_hand(parameters):
    # 4x4 kernels with biases from 21 class probabilities, as for VOC.
    channels = [(21, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    expected = sum(16 * inputs * outputs + outputs for inputs, outputs in channels)
    assert parameters(build_pixel(21)) == expected == 2_783_169


def test_scores_are_resized_to_the_input_bilinearly():
    network = build_pixel(3, width=2)
    x = torch.randn(2, 3, 65, 97)
    coarse = network.head(network.features(x)[-1])
    assert coarse.shape == (2, 1, 2, 3)
    expected = functional.interpolate(coarse, (65, 97), mode="bilinear", align_corners=True)
    torch.testing.assert_close(network(x), expected)


def test_the_scores_of_a_padded_input_are_those_of_its_place():
    network = build_pixel(3, width=2)
    x = torch.randn(1, 3, 16, 64)
    padded = functional.pad(x, (0, 0, 8, 8))
    torch.testing.assert_close(network(x), network(padded)[:, :, 8:24])
