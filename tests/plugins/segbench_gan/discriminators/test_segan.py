from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench_gan.discriminators import build_segan


def test_the_features_are_the_input_and_six_maps_down_to_2_pixels_of_128():
    network = build_segan(3)
    x = torch.randn(2, 3, 128, 128)
    features = network.features(x)
    assert features[0] is x
    assert [tuple(feature.shape[1:]) for feature in features[1:]] == [
        (64, 64, 64),
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (512, 4, 4),
        (512, 2, 2),
    ]


def test_each_feature_has_a_weight():
    network = build_segan(3, width=1)
    assert network.feature_weights == (1, 1, 2, 2, 2, 2, 4)
    assert len(network.features(torch.zeros(2, 3, 32, 32))) == 7


def test_the_score_is_the_mean_of_the_deepest_features():
    network = build_segan(3, width=2).eval()
    x = torch.randn(2, 3, 128, 100)
    torch.testing.assert_close(network(x).flatten(), network.features(x)[-1].flatten(1).mean(1))


def test_an_input_as_it_is_stays_among_the_features_of_a_padded_one():
    x = torch.randn(1, 3, 16, 17)
    assert build_segan(3, width=1).features(x)[0] is x


@pytest.mark.parametrize(("norm", "positions"), [("none", 2), ("batch", 3), ("instance", 3)])
def test_the_last_convolution_never_sees_a_map_one_column_wide(norm, positions):
    *_, seen, _ = build_segan(3, width=1, norm=norm).features(torch.randn(1, 3, 16, 16))
    assert seen.shape[2:] == (positions, positions)


def test_weights_start_as_he_2015_says():
    torch.manual_seed(0)
    layer = next(layer for layer in build_segan(3).modules() if isinstance(layer, nn.Conv2d))
    expected = (2 / (7 * 7 * 64)) ** 0.5
    assert abs(layer.weight.std().item() / expected - 1) < 0.05
