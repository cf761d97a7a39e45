from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn.functional import interpolate

from segbench.engine.data.sampling import Upright, random_axis, resample, turn


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
    axes = (axis(length, extent, scale) for length, extent in zip(zoomed, size, strict=True))
    given = resample(image, labels, Upright(*axes))
    scales = {"scale_factor": scale, "recompute_scale_factor": False}
    torch.testing.assert_close(
        given[0], interpolate(image, mode="bilinear", align_corners=False, **scales), rtol=0, atol=0.01
    )
    if scale > 1:  # at a half and at three quarters some pixels have two nearest ones
        assert torch.equal(given[1], interpolate(labels[None].float(), mode="nearest-exact", **scales)[0])


@given(
    extent=st.integers(1, 30),
    length=st.integers(1, 40),
    scale=st.floats(0.3, 2),
    place=st.floats(0, 1, exclude_max=True),
)
def test_what_lies_inside_is_the_zoomed_image_or_fills_the_crop(extent, length, scale, place):
    assert int(axis(length, extent, scale, place).inside.sum()) == min(length, int(extent * scale + 0.5))


def turned(size, extent, matrix, *, scale=1.0, place=(0.0, 0.0), shift=(0.0, 0.0)):
    """Turn a crop of one image by a matrix of (row, column)."""
    doubles = {"dtype": torch.float64}
    values = [torch.tensor(np.array([value]), **doubles) for value in (extent, scale, place, matrix, shift)]
    return turn(size, *values)


def cut(image, placement):
    """Return the windows of one image (C, H, W) that a placement needs, sampled."""
    ((top, bottom),), ((left, right),) = placement.rows, placement.columns
    window = image[None, :, top:bottom, left:right]
    return resample(window, window[:, 0].round(), placement)


def rotation(degrees):
    angle = np.deg2rad(degrees)
    return [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]


@pytest.mark.parametrize(
    ("degrees", "scale", "place", "shift"),
    [
        (0, 1.0, (0.3, 0.6), (0, 0)),
        (30, 1.0, (0.5, 0.5), (0, 0)),
        (-75, 1.4, (0.9, 0.1), (2, -3)),
        (180, 0.6, (0.2, 0.4), (0, 1)),
    ],
)
def test_turned_crops_are_those_of_scipys_affine_transform(degrees, scale, place, shift):
    image = np.random.default_rng(0).random((31, 27)).astype(np.float32)
    size, matrix = (12, 15), np.array(rotation(degrees))
    placement = turned(size, image.shape, matrix, scale=scale, place=place, shift=shift)
    slack = [int(extent * scale + 0.5) - length for extent, length in zip(image.shape, size, strict=True)]
    offset = [np.sign(room) * int(share * (abs(room) + 1)) for room, share in zip(slack, place, strict=True)]
    centre = (np.array(size) - 1) / 2
    start = (centre - matrix @ centre + shift + offset + 0.5) / scale - 0.5
    expected = ndimage.affine_transform(image, matrix / scale, start, size, order=1, mode="nearest")
    found, _ = cut(torch.from_numpy(image)[None], placement)
    inside = ~placement.outside(torch.device("cpu"))[0]
    np.testing.assert_allclose(found[0, 0][inside], expected[inside], atol=1e-4)
    places = np.einsum("ij,jhw->ihw", matrix / scale, np.indices(size)) + start[:, None, None]
    reached = (places >= -0.5) & (places <= np.array(image.shape)[:, None, None] - 0.5)
    assert (inside.numpy() == reached.all(axis=0)).all()


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_and_shifts_move_whole_pixels(quarters):
    image = torch.arange(49.0).view(1, 7, 7)
    matrix = np.linalg.matrix_power([[0, -1], [1, 0]], quarters)
    images, labels = cut(image, turned((7, 7), (7, 7), matrix))
    torch.testing.assert_close(images, image.rot90(-quarters, (1, 2))[None], atol=1e-3, rtol=0)
    assert torch.equal(labels, image.rot90(-quarters, (1, 2)))
    placement = turned((7, 7), (7, 7), np.eye(2), shift=(2, -1))
    _, labels = cut(image, placement)
    assert torch.equal(labels[0, :5, 1:], image[0, 2:, :6])
    outside = placement.outside(torch.device("cpu"))[0]
    assert (outside[5:].all(), outside[:, 0].all(), outside[:5, 1:].any()) == (True, True, False)


@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.3, 3),
    place=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
    shift=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    extent=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_the_windows_of_a_turned_crop_lie_in_their_image(degrees, scale, place, shift, extent):
    placement = turned((9, 6), extent, rotation(degrees), scale=scale, place=place, shift=shift)
    for ((first, stop),), length in zip((placement.rows, placement.columns), extent, strict=True):
        assert 0 <= first < stop <= length
    images, _ = cut(torch.ones(1, *extent), placement)
    torch.testing.assert_close(images, torch.ones(1, 1, 9, 6))


@pytest.mark.parametrize(("scale", "place"), [(1.3, (0.2, 0.9)), (0.8, (0.7, 0.1)), (0.5, (0.4, 0.6))])
def test_a_turn_by_nothing_is_the_upright_crop(scale, place):
    image, size = torch.rand(3, 20, 24), (11, 13)
    upright = Upright(*(axis(*ends, scale, where) for *ends, where in zip(size, image.shape[1:], place, strict=True)))
    found = turned(size, image.shape[1:], np.eye(2), scale=scale, place=place)
    torch.testing.assert_close(cut(image, found)[0], cut(image, upright)[0], rtol=0, atol=1e-5)
    outside = upright.outside(torch.device("cpu"))
    assert torch.equal(found.outside(torch.device("cpu")), torch.zeros(1, *size).bool() if outside is None else outside)
