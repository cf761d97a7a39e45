from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torchvision.transforms.v2.functional import adjust_brightness, adjust_contrast, adjust_saturation

from segbench.engine.data.colour import add_noise, apply_gamma, blur, grey, jitter_colour, turn_grey, turn_hue


def test_brightness_contrast_and_saturation_are_those_of_torchvision():
    images = torch.rand(2, 3, 6, 5)
    factors = torch.tensor([[0.8, 0.9], [0.7, 0.6], [1.2, 0.5]])
    given = jitter_colour(images * 255, factors, white=255) / 255
    for image, result, (brightness, contrast, saturation) in zip(images, given, factors.T.tolist(), strict=True):
        expected = adjust_contrast(adjust_brightness(image, brightness), contrast)
        # torchvision rounds luma's coefficients to 0.2989, 0.587, 0.114.
        torch.testing.assert_close(result, adjust_saturation(expected, saturation), rtol=0, atol=1e-3)


def test_factors_of_one_change_nothing():
    images = torch.rand(2, 3, 4, 4) * 255
    torch.testing.assert_close(jitter_colour(images, torch.ones(3, 2), white=255), images)


@pytest.mark.parametrize("white", [255, 65535])
def test_colours_stay_in_range(white):
    images = torch.rand(1, 3, 4, 4) * white
    bright = jitter_colour(images, torch.full((3, 1), 1.9), white)
    assert bright.min() >= 0
    assert bright.max() == white


def test_saturation_leaves_images_of_other_channels_alone():
    images = torch.rand(1, 4, 3, 3) * 255
    factors = torch.tensor([[1.0], [1.0], [0.1]])
    torch.testing.assert_close(jitter_colour(images, factors, white=255), images)


def test_grey_of_other_channels_is_their_mean():
    images = torch.rand(2, 5, 3, 3)
    torch.testing.assert_close(grey(images), images.mean(dim=1, keepdim=True))


def test_turning_the_hue_by_a_third_exchanges_the_channels():
    images = torch.rand(2, 3, 4, 5) * 255
    turned = turn_hue(images, torch.tensor([1 / 3, -1 / 3]), white=255)
    torch.testing.assert_close(turned[0], images[0].roll(1, dims=0), rtol=0, atol=1e-3)
    torch.testing.assert_close(turned[1], images[1].roll(-1, dims=0), rtol=0, atol=1e-3)


def test_turning_the_hue_moves_that_of_hsv_the_same_way_and_leaves_the_mean():
    colour = torch.tensor([0.6, 0.4, 0.3]).view(1, 3, 1, 1)
    turned = turn_hue(colour * 255, torch.tensor([0.05]), white=255) / 255
    assert float(turned.mean()) == pytest.approx(float(colour.mean()))
    before, after = (colorsys.rgb_to_hsv(*one.flatten().tolist())[0] for one in (colour, turned))
    assert after - before == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("white", [255, 65535])
def test_gamma_keeps_black_and_white(white):
    values = torch.tensor([0.0, 0.25, 1.0]).mul(white).view(1, 1, 1, 3)
    found = apply_gamma(values, torch.tensor([2.0]), white)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0625, 1.0]).mul(white).view(1, 1, 1, 3))


def test_only_chosen_images_lose_their_colour():
    images = torch.rand(2, 3, 3, 3)
    found = turn_grey(images, torch.tensor([True, False]))
    torch.testing.assert_close(found[0], grey(images)[0].expand(3, 3, 3))
    assert torch.equal(found[1], images[1])


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_blur_is_scipys_gaussian_filter(channels):
    images = torch.rand(2, channels, 17, 13, dtype=torch.float32) * 255
    deviations = torch.tensor([1.5, 0.6])
    found = blur(images, deviations, 1.5)
    for image, result, deviation in zip(images, found, deviations.tolist(), strict=True):
        radius = int(np.ceil(3 * 1.5))
        for one, other in zip(image.numpy(), result.numpy(), strict=True):
            expected = ndimage.gaussian_filter(one, deviation, radius=radius, mode="nearest")
            np.testing.assert_allclose(other, expected, atol=1e-2)


def test_blur_by_nothing_changes_nothing():
    images = torch.rand(1, 2, 5, 6)
    torch.testing.assert_close(blur(images, torch.zeros(1), 2.0), images)


@pytest.mark.parametrize("white", [255, 65535])
def test_noise_is_normal_and_depends_on_its_seed_alone(white):
    images = torch.full((2, 1, 100, 100), white / 2)
    found = add_noise(images, torch.tensor([0.05, 0.0]), 7, white)
    assert torch.equal(found[1], images[1])
    values = ((found[0] - white / 2) / (0.05 * white)).flatten().numpy()
    assert stats.kstest(values, "norm").pvalue > 1e-6
    assert torch.equal(found, add_noise(images, torch.tensor([0.05, 0.0]), 7, white))
    assert not torch.equal(found, add_noise(images, torch.tensor([0.05, 0.0]), 8, white))
