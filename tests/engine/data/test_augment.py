from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate
from torchvision.transforms.v2.functional import adjust_brightness, adjust_contrast, adjust_saturation

from segbench.engine.data.augment import grey, jitter_colour, random_axis, resample


def axis(length, extent, scale=1.0, place=0.0, mirrored=False):
    """Choose an axis for a batch of one image."""
    values = [torch.tensor([float(value)], dtype=torch.float64) for value in (extent, scale, place)]
    return random_axis(length, *values, torch.tensor([mirrored]))


@given(extent=st.integers(1, 30), length=st.integers(1, 30), place=st.floats(0, 1, exclude_max=True))
def test_without_zoom_the_output_is_a_row_of_source_pixels(extent, length, place):
    result = axis(length, extent, place=place)
    ((first, stop),) = result.windows
    assert 0 <= first < stop <= extent
    assert int(result.inside.sum()) == min(extent, length)
    inside = result.positions[result.inside] + first
    assert inside.tolist() == list(range(int(inside[0]), int(inside[0]) + len(inside)))
    assert result.is_plain == (length <= extent)


@given(
    extent=st.integers(1, 40),
    length=st.integers(1, 40),
    scale=st.floats(0.3, 3),
    place=st.floats(0, 1, exclude_max=True),
    mirrored=st.booleans(),
)
def test_positions_stay_in_their_window_and_windows_in_their_image(extent, length, scale, place, mirrored):
    result = axis(length, extent, scale, place, mirrored)
    ((first, stop),) = result.windows
    assert 0 <= first < stop <= extent
    assert result.positions.min() >= 0
    assert result.positions.max() <= stop - first - 1


@given(extent=st.integers(1, 20), length=st.integers(1, 20))
def test_every_position_of_the_crop_has_an_equal_share_of_places(extent, length):
    count = abs(extent - length) + 1
    chosen = []
    for index in range(count):
        result = axis(length, extent, place=(index + 0.5) / count)
        chosen.append(result.windows[0][0] if extent >= length else int(result.inside.int().argmax()))
    assert sorted(chosen) == list(range(count))


def test_mirroring_turns_the_output_around():
    straight, mirrored = axis(5, 9, scale=1.3, place=0.4), axis(5, 9, scale=1.3, place=0.4, mirrored=True)
    assert torch.equal(mirrored.positions, straight.positions.flip(1))
    assert mirrored.windows == straight.windows
    assert not mirrored.is_plain


def test_a_crop_beyond_the_zoomed_image_is_outside_it():
    result = axis(10, 8, scale=0.5, place=0.99)
    assert result.inside.tolist() == [[False] * 6 + [True] * 4]


@pytest.mark.parametrize(("size", "scale"), [((7, 5), 2.0), ((8, 12), 0.5), ((6, 9), 1 + 1 / 3), ((12, 8), 0.75)])
def test_zooming_a_whole_image_is_interpolate(size, scale):
    image = torch.rand(1, 3, *size) * 255
    labels = torch.randint(0, 9, (1, *size))
    zoomed = [round(extent * scale) for extent in size]
    given = resample(image, labels, *(axis(length, extent, scale) for length, extent in zip(zoomed, size, strict=True)))
    scales = {"scale_factor": scale, "recompute_scale_factor": False}
    torch.testing.assert_close(
        given[0], interpolate(image, mode="bilinear", align_corners=False, **scales), rtol=0, atol=0.01
    )
    if scale > 1:  # at a half and at three quarters some pixels have two nearest ones
        assert torch.equal(given[1], interpolate(labels[None].float(), mode="nearest-exact", **scales)[0])


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


@given(
    extent=st.integers(1, 30),
    length=st.integers(1, 40),
    scale=st.floats(0.3, 2),
    place=st.floats(0, 1, exclude_max=True),
)
def test_what_lies_inside_is_the_zoomed_image_or_fills_the_crop(extent, length, scale, place):
    assert int(axis(length, extent, scale, place).inside.sum()) == min(length, int(extent * scale + 0.5))
