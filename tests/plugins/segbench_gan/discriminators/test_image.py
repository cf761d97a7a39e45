from __future__ import annotations

import torch
from torch import nn

from segbench_gan.discriminators import build_image


def test_the_score_is_linear_in_the_mean_of_the_last_map():
    network = build_image(3, width=2).eval()
    x = torch.randn(2, 3, 33, 47)
    (pooled,) = network.features(x)
    assert pooled.shape == (2, 16)
    torch.testing.assert_close(network(x).flatten(), (pooled @ network.head.weight.T + network.head.bias).flatten())
    torch.testing.assert_close(pooled, network.blocks(x).mean((2, 3)))


def test_it_has_the_parameters_counted_by_hand(parameters):
    channels = [(3, 64), (64, 128), (128, 256), (256, 512)]
    expected = sum(16 * inputs * outputs + outputs for inputs, outputs in channels) + 512 + 1
    assert parameters(build_image(3)) == expected


def test_dropout_is_on_in_training_and_off_in_evaluation():
    network = build_image(3, width=2)
    x = torch.randn(1, 3, 32, 32)
    assert network.train()(x) != network(x)
    assert network.eval()(x) == network(x)


def test_dropout_of_channels_drops_whole_maps():
    torch.manual_seed(0)
    network = build_image(3, dropout=0.5, dropout_of="channels", width=64)
    kept = network.train().blocks[0](torch.randn(1, 3, 32, 32))[0] != 0
    assert 0 < kept.any((1, 2)).sum() < 64
    assert kept.any((1, 2)).equal(kept.all((1, 2)))


def test_dropout_of_elements_drops_single_values():
    torch.manual_seed(0)
    network = build_image(3, dropout=0.3, width=64)
    dropped = network.train().blocks[0](torch.randn(1, 3, 64, 64)) == 0
    assert abs(dropped.float().mean() - 0.3) < 0.01


def test_without_dropout_training_and_evaluation_agree():
    network = build_image(3, dropout=0.0, width=2)
    x = torch.randn(1, 3, 32, 32)
    assert network.train()(x) == network.eval()(x)


def test_s4gan_has_dropout_after_the_first_three_of_four_activations():
    layers = [type(layer) for layer in build_image(24, dropout=0.5, dropout_of="channels").modules()]
    order = [layer for layer in layers if layer in (nn.Conv2d, nn.LeakyReLU, nn.Dropout2d, nn.Linear)]
    assert order == [nn.Conv2d, nn.LeakyReLU, nn.Dropout2d] * 3 + [nn.Conv2d, nn.LeakyReLU, nn.Linear]
