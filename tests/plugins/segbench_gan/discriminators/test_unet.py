from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from segbench_gan.discriminators import build_unet


def test_the_maps_halve_to_the_coarsest_and_double_back():
    features = build_unet(3, 4, depth=3, width=2).features(torch.randn(1, 3, 32, 48))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (4, 16, 24),
        (4, 8, 12),
        (8, 4, 6),
        (4, 8, 12),
        (4, 16, 24),
        (2, 32, 48),
    ]


def test_its_widths_are_those_of_oasis():
    with torch.device("meta"):
        network = build_unet(3, 34, spectral=False)
        features = network.features(torch.empty(1, 3, 256, 512))
    assert [feature.shape[1] for feature in features] == [128, 128, 256, 256, 512, 512, 512, 256, 256, 128, 128, 64]


def test_the_layer_that_scores_has_no_spectral_norm():
    limited = [layer for layer in build_unet(3, 4, depth=2, width=2).modules() if is_parametrized(layer, "weight")]
    convolutions = [layer for layer in build_unet(3, 4, depth=2, width=2).modules() if isinstance(layer, nn.Conv2d)]
    assert len(limited) == len(convolutions) - 1
    assert convolutions[-1].out_channels == 5
    assert not is_parametrized(convolutions[-1], "weight")


def test_an_input_of_another_size_is_padded_with_zeros_and_its_scores_cropped():
    network = build_unet(3, 4, depth=4, width=2).eval()
    x = torch.randn(1, 3, 18, 31)
    padded = functional.pad(x, (0, 1, 7, 7))
    assert network(x).shape == (1, 5, 18, 31)
    torch.testing.assert_close(network(x), network(padded)[:, :, 7:25, :31])


def test_it_has_the_parameters_counted_by_hand():
    def block(inputs, outputs):
        shortcut = inputs * outputs + outputs if inputs != outputs else 0
        return (9 * inputs * outputs + outputs) + (9 * outputs * outputs + outputs) + shortcut

    # depth 3, width 4: three blocks down, three up, the last two on what is joined, 1x1 scores of 3 classes and fake.
    expected = block(5, 8) + block(8, 8) + block(8, 16) + block(16, 8) + block(16, 8) + block(16, 4) + (4 * 4 + 4)
    network = build_unet(5, 3, depth=3, width=4, spectral=False)
    assert sum(weight.numel() for weight in network.parameters()) == expected


@pytest.mark.trains
def test_it_can_learn_which_pixels_are_fake(training_seed, record_property):
    torch.manual_seed(training_seed)
    network = build_unet(2, 2, depth=2, width=4)
    # As large as the cells of the finest map that is joined.
    labels = torch.randint(2, (4, 8, 8)).repeat_interleave(2, 1).repeat_interleave(2, 2)
    images = functional.one_hot(labels, 2).movedim(-1, 1).float()
    images[:, :, :, 8:] = 0.5  # the right half is fake: the index after those of the classes
    labels[:, :, 8:] = 2
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    right = (network.eval()(images).argmax(1) == labels).float().mean().item()
    record_property("margin", right - 0.95)
    assert right > 0.95
