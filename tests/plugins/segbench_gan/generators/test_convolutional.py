from __future__ import annotations

import torch
from torch import nn

from segbench_gan.generators import build_conv, build_conv_colours


def test_it_has_the_parameters_counted_by_hand(parameters):
    network = build_conv(3, 11, width=8)
    # 3x3 kernels with biases, scale and shift of four normalisations.
    expected = (27 * 8 + 8) + 3 * (72 * 8 + 8) + 4 * 2 * 8 + (72 * 11 + 11)
    assert parameters(network) == expected


def test_its_layers_are_those_of_the_tutorial():
    kinds = [type(layer) for layer in build_conv(3, 2, width=2).layers]
    assert kinds == [nn.Conv2d, nn.LeakyReLU, nn.BatchNorm2d] * 4 + [nn.Conv2d]


def test_a_pixel_sees_11_by_11_pixels():
    network = build_conv(1, 1, width=2).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()
    images = torch.rand(1, 1, 21, 21, requires_grad=True)
    network(images)[0, 0, 10, 10].backward()
    seen = images.grad[0, 0] != 0
    assert seen.sum() == 121
    assert seen[5:16, 5:16].all()


def test_the_colours_are_the_tanh_of_the_same_network():
    networks = []
    for build in (build_conv, build_conv_colours):
        torch.manual_seed(0)
        networks.append(build(3, 3, width=2).eval())
    images = torch.randn(1, 3, 5, 7)
    assert networks[1](images).equal(networks[0](images).tanh())
