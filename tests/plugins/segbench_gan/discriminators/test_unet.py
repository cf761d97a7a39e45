from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from segbench_gan.discriminators import build_unet


def test_the_maps_halve_to_the_coarsest_and_double_back():
    features = build_unet(3, 4, depth=3, width=2).features(torch.randn(1, 3, 32, 48))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (2, 32, 48),
        (4, 16, 24),
        (8, 8, 12),
        (16, 4, 6),
        (8, 8, 12),
        (4, 16, 24),
        (2, 32, 48),
    ]


def test_an_input_of_another_size_is_padded_with_zeros_and_its_scores_cropped():
    network = build_unet(3, 4, width=2).eval()
    x = torch.randn(1, 3, 18, 31)
    padded = functional.pad(x, (0, 1, 7, 7))
    assert network(x).shape == (1, 5, 18, 31)
    torch.testing.assert_close(network(x), network(padded)[:, :, 7:25, :31])


def test_it_has_the_parameters_counted_by_hand(parameters):
    def block(inputs, outputs):
        shortcut = inputs * outputs + outputs
        return (9 * inputs * outputs + outputs) + (9 * outputs * outputs + outputs) + shortcut

    # depth 2, width 4: stem, two blocks down, two up on what is joined, 1x1 scores of 3 classes and fake.
    expected = (9 * 5 * 4 + 4) + block(4, 8) + block(8, 16) + block(16 + 8, 8) + block(8 + 4, 4) + (4 * 4 + 4)
    network = build_unet(5, 3, depth=2, width=4, spectral=False)
    assert parameters(network) == expected


@pytest.mark.trains
def test_it_can_learn_which_pixels_are_fake(training_seed, record_property):
    torch.manual_seed(training_seed)
    network = build_unet(2, 2, depth=2, width=4)
    labels = torch.randint(2, (4, 16, 16))
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
