from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from segbench_gan.generators import build_pix2pix_unet, build_pix2pix_unet_colours


def test_at_depth_8_it_has_the_published_parameters(parameters):
    with torch.device("meta"):
        network = build_pix2pix_unet_colours(3, 3)
    # 4x4 kernels a pair of channels; no biases but that of the last layer.
    encoder = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 4 * 512 * 512
    decoder = 512 * 512 + 3 * 1024 * 512 + 1024 * 256 + 512 * 128 + 256 * 64 + 128 * 3
    # Scale and shift; neither the first nor the last layer of either half is normalised but the decoder's first.
    normalised = (128 + 256 + 4 * 512) + (4 * 512 + 256 + 128 + 64)
    expected = 16 * (encoder + decoder) + 2 * normalised + 3
    assert parameters(network) == expected == 54_413_955


@pytest.mark.parametrize(("depth", "dropouts"), [(8, 3), (7, 3), (6, 2), (5, 1), (4, 0)])
def test_dropout_follows_the_innermost_blocks_of_full_width(depth, dropouts):
    network = build_pix2pix_unet(3, 2, width=2, depth=depth)
    dropped = [any(isinstance(layer, nn.Dropout) for layer in block) for block in network.decoder]
    assert dropped == [True] * dropouts + [False] * (depth - dropouts)


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_images_are_padded_to_a_multiple_of_the_coarsest_pixel(depth):
    assert build_pix2pix_unet(3, 2, width=1, depth=depth).size_multiple == 2**depth
    assert build_pix2pix_unet_colours(3, 3, width=1, depth=depth).size_multiple == 2**depth


def test_the_bottleneck_sees_the_whole_image_and_the_skips_every_pixel():
    network = build_pix2pix_unet(1, 1, width=2, depth=3).eval()
    images = torch.randn(1, 1, 8, 8, requires_grad=True)
    seen = []
    network.encoder[-1].register_forward_hook(lambda module, given, output: seen.append(output))
    network(images)
    (bottleneck,) = seen
    assert bottleneck.shape == (1, 8, 1, 1)
    (gradient,) = torch.autograd.grad(bottleneck.sum(), images)
    assert (gradient != 0).all()
    with torch.no_grad():
        # Without the bottleneck, the image still reaches the output through the skips.
        network.decoder[0][1].weight.zero_()
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    assert (gradient != 0).any()


def test_dropout_at_test_makes_predictions_differ_and_is_off_by_default():
    images = torch.randn(1, 3, 32, 32)
    for at_test in (False, True):
        torch.manual_seed(0)
        network = build_pix2pix_unet(3, 2, width=4, depth=5, dropout_at_test=at_test).eval()
        with torch.no_grad():
            assert network(images).equal(network(images)) != at_test


def test_the_first_weights_are_normal_with_deviation_a_fiftieth():
    torch.manual_seed(0)
    network = build_pix2pix_unet(3, 2, width=16, depth=5)
    kernels = torch.cat([layer.weight.flatten() for layer in network.modules() if hasattr(layer, "kernel_size")])
    assert kernels.mean().item() == pytest.approx(0, abs=1e-4)
    assert kernels.std().item() == pytest.approx(0.02, rel=0.01)
    scales = torch.cat([layer.weight for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.trains
def test_it_learns_one_image_pair_by_heart(training_seed, record_property):
    torch.manual_seed(training_seed)
    network = build_pix2pix_unet_colours(3, 3, width=8, depth=4).train()
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    colours = torch.ones(1, 3, 16, 16)
    colours[:, 1, 4:12, 4:12] = colours[:, 2, :, 8:] = -1
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3, betas=(0.5, 0.999))
    losses = []
    for _ in range(60):
        loss = functional.l1_loss(network(images), colours)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    record_property("margin", losses[0] / 10 - losses[-1])
    assert losses[-1] < losses[0] / 10
