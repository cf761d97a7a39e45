from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench import SegbenchError
from segbench_gan.discriminators import build_mlp


def test_it_has_the_parameters_counted_by_hand(parameters):
    # MNIST: 784-512-256-1 with biases.
    expected = (784 * 512 + 512) + (512 * 256 + 256) + (256 + 1)
    assert parameters(build_mlp(1, (28, 28))) == expected == 533_505


def test_the_score_is_the_formula():
    network = build_mlp(2, (3, 4), widths=(5,))
    x = torch.randn(6, 2, 3, 4)
    first = network.layers[0][0]
    hidden = nn.functional.leaky_relu(x.reshape(6, 24) @ first.weight.T + first.bias, 0.2)
    torch.testing.assert_close(network.features(x), [hidden])
    torch.testing.assert_close(network(x)[:, 0, 0], hidden @ network.head.weight.T + network.head.bias)


@pytest.mark.parametrize("shape", [(3, 16, 20), (3, 20, 16), (2, 16, 16)])
def test_an_input_of_another_size_is_an_error(shape):
    network = build_mlp(3, (16, 16), widths=(4,))
    message = f"{' x '.join(map(str, shape))}; its layers fit 3 x 16 x 16 only: give images of that size"
    with pytest.raises(SegbenchError, match=message):
        network(torch.zeros(1, *shape))
