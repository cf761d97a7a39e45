from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench_gan.generators import build_resnet, build_resnet_colours


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_nine_blocks_have_the_parameters_of_the_layer_formula(parameters, norm):
    with torch.device("meta"):
        network = build_resnet_colours(3, 3, norm=norm)
    kernels = (
        49 * 3 * 64 + 9 * (64 * 128 + 128 * 256) + 9 * 2 * 9 * 256 * 256 + 9 * (256 * 128 + 128 * 64) + 49 * 64 * 3
    )
    normalised = 64 + 128 + 256 + 9 * 2 * 256 + 128 + 64
    assert parameters(network) == kernels + 2 * normalised + 3 == 11_383_427


@pytest.mark.parametrize("blocks", [1, 6])
def test_there_are_as_many_blocks_as_asked_for(blocks):
    network = build_resnet(3, 2, width=1, blocks=blocks)
    assert sum(type(layer).__name__ == "ResidualBlock" for layer in network.layers) == blocks


def test_a_block_whose_last_scale_is_0_hands_its_input_on():
    [block] = [
        layer for layer in build_resnet(3, 2, width=2, blocks=1).layers if type(layer).__name__ == "ResidualBlock"
    ]
    nn.init.zeros_(block.residual[-1].weight)
    features = torch.randn(2, 8, 4, 4)
    assert block(features).equal(features)


def test_the_border_of_an_image_of_one_colour_looks_as_its_middle():
    network = build_resnet(3, 2, width=2, blocks=1)
    features = network.layers[0](torch.full((1, 3, 8, 8), 0.5))
    torch.testing.assert_close(features, features[..., :1, :1].expand_as(features))


def test_the_smallest_image_it_states_passes_and_a_smaller_one_does_not():
    network = build_resnet(3, 2, width=2, blocks=1)
    assert (network.size_multiple, network.minimum_size) == (4, 8)
    assert network(torch.randn(1, 3, 8, 8)).shape == (1, 2, 8, 8)
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.randn(1, 3, 4, 4))


def test_with_instance_norm_images_of_a_batch_do_not_meet():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16)
    for norm, apart in (("instance", True), ("batch", False)):
        network = build_resnet(3, 2, width=2, blocks=1, norm=norm).train()
        with torch.no_grad():
            together, alone = network(images)[:1], network(images[:1])
        assert torch.allclose(together, alone, atol=1e-5) == apart


def test_the_colours_state_the_same_sizes():
    network = build_resnet_colours(3, 3, width=1, blocks=1)
    assert (network.size_multiple, network.minimum_size) == (4, 8)
