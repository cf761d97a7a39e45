from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from segbench_refine import build_unet


def inputs(channels=3, classes=4, size=(32, 48)):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, channels, *size, generator=generator) * 2 - 1
    return images, torch.randn(2, classes, *size, generator=generator).mul(3).softmax(dim=1)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("mode", [True, False])
def test_before_training_nothing_changes(norm, mode):
    images, probabilities = inputs()
    logits = build_unet(3, 4, width=4, norm=norm).train(mode)(images, probabilities)
    assert logits.argmax(dim=1).equal(probabilities.argmax(dim=1))
    torch.testing.assert_close(logits.softmax(dim=1), probabilities, rtol=0, atol=5e-4)


def test_the_network_has_the_parameters_counted_by_hand(parameters):
    # 3x3 kernels of two channels to width 2 and 4 (depth 1), normalised, and a 1x1 head for 4 classes with its bias.
    first = 9 * 7 * 2 + 9 * 2 * 2 + 2 * (2 * 2)
    down = 9 * 2 * 4 + 9 * 4 * 4 + 2 * (2 * 4)
    up = 9 * (4 + 2) * 2 + 9 * 2 * 2 + 2 * (2 * 2)
    expected = first + down + up + (2 * 4 + 4)
    assert parameters(build_unet(3, 4, width=2, depth=1)) == expected


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_smallest_size_that_is_stated_works_in_training(channels, depth):
    network = build_unet(channels, 4, width=2, depth=depth, norm="instance")
    assert (network.size_multiple, network.minimum_size) == (2**depth, 2 * 2**depth)
    images, probabilities = inputs(channels, size=(network.minimum_size,) * 2)
    assert network(images[:1], probabilities[:1]).shape == probabilities[:1].shape


@pytest.mark.trains
def test_training_reaches_every_weight_once_the_residual_is_not_zero(training_seed):
    torch.manual_seed(training_seed)
    images, probabilities = inputs()
    labels = probabilities.flip(1).argmax(dim=1)
    network = build_unet(3, 4, width=4)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        functional.cross_entropy(network(images, probabilities), labels).backward()
        optimizer.step()
    unreached = [name for name, weight in network.named_parameters() if not weight.grad.any()]
    assert unreached == []


@pytest.mark.trains
def test_a_few_steps_of_training_correct_what_the_base_gets_wrong(training_seed, record_property):
    torch.manual_seed(training_seed)
    images, _ = inputs()
    labels = (images[:, 0] > 0).long()
    wrong = functional.one_hot(1 - labels, 2).permute(0, 3, 1, 2) * 0.4 + 0.3  # probabilities 0.3 and 0.7
    network = build_unet(3, 2, width=8, depth=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        functional.cross_entropy(network(images, wrong), labels).backward()
        optimizer.step()
    share = (network(images, wrong).argmax(dim=1) == labels).float().mean().item()
    record_property("margin", share - 0.9)
    assert share > 0.9


def test_logits_of_confident_pixels_keep_their_precision_in_half_precision():
    images, probabilities = inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = build_unet(3, 4, width=4)(images, probabilities)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, probabilities.clamp(min=1e-4).log())
