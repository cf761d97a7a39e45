from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench_gan.discriminators import build_largefov, build_smallfov


def seen_by(network, channels, wanted=0):
    """Rows and columns of a channel that some of 64 inputs have a gradient in, from one place of the score map."""
    torch.manual_seed(0)
    x = torch.rand(64, channels, 72, 72, dtype=torch.float64, requires_grad=True)
    network = network.double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()  # so that no unit is off
    network.head(network.features(x)[-1])[:, 0, 9, 9].sum().backward()
    seen = (x.grad[:, wanted] != 0).any(0)
    return int(seen.any(1).sum()), int(seen.any(0).sum())


def convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(("build", "pixels"), [(build_largefov, 34), (build_smallfov, 18)])
def test_the_field_of_view_is_that_of_the_paper(build, pixels):
    assert seen_by(build(1, width=2), 1) == (pixels, pixels)


@pytest.mark.parametrize(("build", "image", "labels"), [(build_largefov, 34, 32), (build_smallfov, 18, 18)])
def test_with_two_branches_the_image_is_seen_as_widely(build, image, labels):
    network = build(2, image_channels=1, width=2)
    assert seen_by(network, 2, wanted=0) == (image, image)
    assert seen_by(network, 2, wanted=1) == (labels, labels)


def test_the_widths_are_those_published():
    assert [layer.out_channels for layer in convolutions(build_largefov(21))] == [96, 128, 128, 256, 256, 512, 1]
    assert [layer.out_channels for layer in convolutions(build_smallfov(21))] == [96, 128, 256, 256, 512, 1]
    assert [layer.kernel_size[0] for layer in convolutions(build_largefov(21))] == [3] * 7
    assert [layer.kernel_size[0] for layer in convolutions(build_smallfov(21))] == [3, 1, 3, 1, 3, 1]


def test_the_branches_are_those_published():
    image, image_second, labels, joined, *_ = convolutions(build_largefov(11, image_channels=3))
    assert (image.in_channels, image.out_channels, image_second.out_channels) == (3, 16, 64)
    assert (labels.in_channels, labels.out_channels) == (8, 64)
    assert joined.in_channels == 128


def test_each_branch_sees_only_its_own_channels():
    network = build_smallfov(5, image_channels=3, width=4)
    x = torch.randn(1, 5, 16, 16)
    before = network.features(x)[0]
    x[:, 3:] += 1
    after = network.features(x)[0]
    assert after[:, :8].equal(before[:, :8])
    assert not after[:, 8:].equal(before[:, 8:])


def test_the_score_is_the_mean_of_the_map():
    network = build_largefov(3, width=2)
    x = torch.randn(2, 3, 16, 24)
    places = network.head(network.features(x)[-1])
    assert places.shape == (2, 1, 4, 6)
    torch.testing.assert_close(network(x).flatten(), places.mean((1, 2, 3)))
