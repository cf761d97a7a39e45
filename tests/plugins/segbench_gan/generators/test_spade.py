from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from segbench_gan.generators import build_spade
from segbench_gan.generators.spade import Spade, SpadeBlock

CLASSES = 3


def one_hot(labels):
    return functional.one_hot(labels, CLASSES).movedim(-1, 1).float()


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_modulation_is_the_formula_calculated_by_hand(norm):
    torch.manual_seed(0)
    spade = Spade(4, CLASSES, hidden=6, norm=norm).double()
    features, mask = torch.randn(2, 4, 5, 7).double(), one_hot(torch.randint(CLASSES, (2, 5, 7))).double()
    hidden = functional.conv2d(mask, spade.shared.weight, spade.shared.bias, padding=1).clamp(min=0)
    weight, bias = spade.gamma_beta.weight, spade.gamma_beta.bias
    gamma = functional.conv2d(hidden, weight[:4], bias[:4], padding=1)
    beta = functional.conv2d(hidden, weight[4:], bias[4:], padding=1)
    if norm == "batch":
        normalised = functional.batch_norm(features, None, None, training=True)
    else:
        mean, variance = features.mean((2, 3), keepdim=True), features.var((2, 3), correction=0, keepdim=True)
        normalised = (features - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(spade(features, mask), normalised * (1 + gamma) + beta)


def test_the_normalisation_itself_has_no_weights():
    assert not list(Spade(4, CLASSES, hidden=6, norm="batch").norm.parameters())


def test_a_block_that_keeps_its_channels_adds_to_its_input():
    block = SpadeBlock(4, 4, CLASSES, hidden=6, norm="batch", spectral=False)
    torch.nn.init.zeros_(block.second.weight)
    torch.nn.init.zeros_(block.second.bias)
    features = torch.randn(2, 4, 8, 8)
    assert block(features, one_hot(torch.zeros(2, 8, 8, dtype=torch.int64))).equal(features)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_another_class_in_a_region_changes_the_image_there(norm):
    torch.manual_seed(0)
    network = build_spade(CLASSES, 3, 4, (32, 32), width=4, depth=3, norm=norm)
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    changed = labels.clone()
    changed[:, :8, :8] = 1
    noise = torch.randn(2, 4)
    with torch.no_grad():
        network.train()(one_hot(labels), noise)
        network.eval()
        difference = (network(one_hot(changed), noise) - network(one_hot(labels), noise)).abs().mean(dim=1)
    inside, far = difference[:, :8, :8].mean(), difference[:, 24:, 24:].mean()
    assert inside > 0.001
    assert inside > 5 * far


def test_gradients_reach_the_label_map_and_the_noise():
    network = build_spade(CLASSES, 3, 4, (16, 16), width=4, depth=2)
    mask = one_hot(torch.randint(CLASSES, (2, 16, 16))).requires_grad_()
    noise = torch.randn(2, 4, requires_grad=True)
    network(mask, noise).square().sum().backward()
    assert (mask.grad != 0).any(dim=1).all()
    assert (noise.grad != 0).all()


@pytest.mark.parametrize("size", [(16, 16), (48, 20), (33, 47), (5, 3)])
def test_label_maps_of_another_size_than_the_crops_give_images_of_their_size(size):
    network = build_spade(CLASSES, 3, 4, (32, 24), width=4, depth=3).train()
    mask = one_hot(torch.randint(CLASSES, (1, *size)))
    with torch.no_grad():
        assert network(mask, torch.randn(1, 4)).shape == (1, 3, *size)


def test_a_pixel_without_class_is_allowed():
    network = build_spade(CLASSES, 3, 4, (16, 16), width=4, depth=2).eval()
    assert network(torch.zeros(1, CLASSES, 16, 16), torch.randn(1, 4)).isfinite().all()


@pytest.mark.parametrize(("depth", "channels"), [(1, [8, 4]), (4, [64, 32, 16, 8, 4]), (5, [64, 64, 32, 16, 8, 4])])
def test_channels_double_towards_the_coarsest_grid_up_to_16_times_the_width(depth, channels):
    network = build_spade(CLASSES, 3, 4, (64, 64), width=4, depth=depth)
    assert [blocks[0].second.out_channels for blocks in network.scales] == channels
    assert network.grid == (channels[0], 64 // 2**depth, 64 // 2**depth)


def test_there_is_a_block_a_scale_and_two_at_the_second_whose_own_convolutions_have_spectral_norm():
    network = build_spade(CLASSES, 3, 4, (64, 64), width=4, depth=5)
    assert [len(blocks) for blocks in network.scales] == [1, 2, 1, 1, 1, 1]
    limited = [name for name, layer in network.named_modules() if is_parametrized(layer, "weight")]
    assert len(limited) == 2 * 7 + 4
    assert {name.rsplit(".")[-1] for name in limited} == {"first", "second", "shortcut"}
