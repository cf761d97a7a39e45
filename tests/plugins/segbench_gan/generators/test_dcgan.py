from __future__ import annotations

import pytest
import torch

from segbench_gan.generators import build_dcgan


def test_at_64_pixels_it_has_the_parameters_of_the_layer_formula(parameters):
    # The 3 576 704 of PyTorch's DCGAN example, and three biases of the last layer.
    kernels = 16 * (100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    normalised = 512 + 256 + 128 + 64
    assert parameters(build_dcgan(100, 3, (64, 64))) == kernels + 2 * normalised + 3 == 3_576_704 + 3


def test_at_width_128_its_grids_are_those_of_the_paper():
    with torch.device("meta"):
        network = build_dcgan(100, 3, (64, 64), width=128)
        grids = [(1024, 4, 4)]
        for layer in network.trunk.layers:
            if isinstance(layer, torch.nn.ConvTranspose2d):
                layer.register_forward_hook(lambda module, given, output: grids.append(tuple(output.shape[1:])))
        network(torch.randn(2, 100))
    assert network.trunk.grid == grids[0]
    assert grids == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32)]


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((8, 8), (4, 4, 4)),
        ((16, 16), (8, 4, 4)),
        ((17, 17), (16, 3, 3)),
        ((96, 160), (32, 3, 5)),
        ((33, 70), (32, 3, 5)),
    ],
)
def test_noise_is_projected_to_the_coarsest_grid_of_at_most_4_pixels(size, grid):
    network = build_dcgan(4, 3, size, width=4)
    assert network.trunk.grid == grid
    with torch.no_grad():
        assert network(torch.randn(2, 4)).shape == (2, 3, *size)


def test_an_image_is_cut_out_of_a_larger_one():
    networks = []
    for size in ((32, 32), (31, 27)):
        torch.manual_seed(0)
        networks.append(build_dcgan(4, 3, size, width=2).eval())
    noise = torch.randn(2, 4)
    assert networks[1](noise).equal(networks[0](noise)[..., :31, :27])
