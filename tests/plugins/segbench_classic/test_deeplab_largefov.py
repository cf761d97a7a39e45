import pytest
import torch

from segbench_classic.deeplab_largefov import DeepLabLargeFOV, decimated, upsampled


@pytest.mark.parametrize(("size", "cells"), [((321, 321), (41, 41)), ((64, 96), (9, 13)), ((1, 10), (1, 3))])
def test_its_features_have_stride_8_and_its_logits_the_size_of_the_images(size, cells):
    with torch.device("meta"):
        network, images = DeepLabLargeFOV(3, 21).eval(), torch.empty(1, 3, *size)
        features = network.features(images)
        assert features.shape == (1, 512, *cells)
        assert network.fc6(features).shape == (1, 1024, *cells)
        assert network(images).shape == (1, 21, *size)


def test_fc6_sees_the_published_field_of_view():
    # Table 2: that of VGG-16's 7x7 kernel at input stride 4, 224 pixels.
    with torch.device("meta"):
        network = DeepLabLargeFOV(3, 21)
    (kernel, _), (dilation, _) = network.fc6.kernel_size, network.fc6.dilation
    assert (kernel - 1) * dilation == (7 - 1) * 4


def test_cells_lie_over_every_eighth_pixel():
    rows = torch.arange(5.0).mul(8).view(1, 1, 5, 1).expand(-1, -1, -1, 4)
    logits = upsampled(rows, (30, 25))
    torch.testing.assert_close(logits[0, 0], torch.arange(30.0)[:, None].expand(-1, 25))


def test_every_fourth_channel_and_every_third_row_and_column_are_taken_over():
    ones = torch.ones(1, 512, 1, 1)
    rows = torch.arange(7.0).view(1, 1, 7, 1) * 10 + torch.arange(7.0)
    bias = torch.arange(4096)
    fc6, fc7 = decimated(
        ((ones * rows).expand(4096, -1, -1, -1), bias), (bias[:, None, None, None].expand(-1, 4096, 1, 1), bias)
    )
    assert fc6["weight"].shape == (1024, 512, 3, 3)
    assert fc6["weight"][5, 7].tolist() == [[0, 3, 6], [30, 33, 36], [60, 63, 66]]
    assert fc7["weight"][:, 9, 0, 0].tolist() == fc6["bias"].tolist() == list(range(0, 4096, 4))
