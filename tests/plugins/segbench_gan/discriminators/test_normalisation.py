from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from segbench_gan.discriminators import build_image, build_mlp, build_patchgan, build_unet


@pytest.mark.parametrize(
    ("network", "left_out"),
    [
        (lambda: build_patchgan(3, (24, 24), width=8, norm="none", spectral=True), 0),
        (lambda: build_image(3, width=8, spectral=True), 0),
        (lambda: build_mlp(3, (24, 24), widths=(32, 8), spectral=True), 0),
        (lambda: build_unet(3, 2, depth=2, width=8), 1),  # the layer that scores, as published
    ],
)
def test_spectral_norm_brings_the_largest_singular_value_of_every_weight_to_1(network, left_out):
    torch.manual_seed(0)
    network = network().train()
    x = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        for _ in range(60):
            network(x)
    layers = [layer for layer in network.eval().modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    limited = [layer for layer in layers if is_parametrized(layer, "weight")]
    assert len(limited) == len(layers) - left_out
    for layer in limited:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=0.02)


def test_in_evaluation_spectral_norm_stands_still():
    network = build_patchgan(3, (24, 24), width=4, norm="none", spectral=True).eval()
    x = torch.randn(1, 3, 24, 24)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(x)
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_normalised_convolution_has_no_bias_and_first_and_last_are_not_normalised(norm):
    network = build_patchgan(3, (24, 24), width=2, norm=norm)
    biases = [layer.bias is not None for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert biases == [True, False, False, False, True]
    kind = nn.BatchNorm2d if norm == "batch" else nn.InstanceNorm2d
    normed = [any(isinstance(layer, kind) for layer in each.modules()) for each in network.blocks]
    assert normed == [False, True, True, True]
