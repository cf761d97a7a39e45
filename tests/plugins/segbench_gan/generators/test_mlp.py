from __future__ import annotations

import torch

from segbench_gan.generators import build_mlp


def test_it_has_the_parameters_counted_by_hand(parameters):
    network = build_mlp(10, 3, (5, 7), hidden=(8, 6))
    expected = (10 * 8 + 8) + (8 * 6 + 6) + (6 * 3 * 5 * 7 + 3 * 5 * 7)
    assert parameters(network) == expected


def test_an_image_is_the_hand_calculation():
    network = build_mlp(3, 2, (2, 2), hidden=(4,))
    noise = torch.randn(5, 3)
    hidden = (noise @ network.layers[0].weight.T + network.layers[0].bias).clamp(min=0)
    expected = torch.tanh(hidden @ network.layers[2].weight.T + network.layers[2].bias)
    torch.testing.assert_close(network(noise), expected.reshape(5, 2, 2, 2))
