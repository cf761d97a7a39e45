from __future__ import annotations

import pytest
import torch

from segbench import SegbenchError
from segbench_basic import build_fcn


def test_the_plain_network_has_the_parameters_counted_by_hand(parameters):
    # 3x3 kernels: 3 -> 32, 32 -> 32, 32 -> 11 channels, with biases.
    expected = (27 * 32 + 32) + (288 * 32 + 32) + (288 * 11 + 11)
    assert parameters(build_fcn(3, 11)) == expected == 13_323


def test_the_width_is_that_of_the_hidden_layers(parameters):
    expected = (9 * 8 + 8) + (72 * 8 + 8) + (72 * 2 + 2)
    assert parameters(build_fcn(1, 2, width=8)) == expected


def test_a_pixel_sees_7_by_7_pixels():
    images = torch.zeros(1, 1, 15, 15, requires_grad=True)
    network = build_fcn(1, 1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()
    network(images)[0, 0, 7, 7].backward()
    seen = images.grad[0, 0] != 0
    assert seen.sum() == 49
    assert seen[4:11, 4:11].all()


def test_a_width_of_0_is_an_error():
    with pytest.raises(SegbenchError, match="width is 0; give at least 1"):
        build_fcn(3, 2, width=0)
