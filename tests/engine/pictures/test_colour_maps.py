from __future__ import annotations

import numpy as np
import pytest

from segbench.engine.pictures.colour_maps import DIVERGING, SEQUENTIAL, diverging, sequential, span

STEPS = 256

# From linear sRGB to the responses of the three cones, and from their cube roots to OKLab (B. Ottosson, 2020).
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]


OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def oklab(colour):
    return OKLAB @ np.cbrt(CONES @ linear(colour))


def srgb(points):
    light = np.clip((points @ np.linalg.inv(OKLAB).T) ** 3 @ np.linalg.inv(CONES).T, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_the_sequential_table_is_a_straight_line_in_oklab():
    expected = srgb(np.linspace(oklab((8, 30, 84)), oklab((255, 233, 92)), STEPS))
    assert np.abs(SEQUENTIAL - expected).max() <= 0.5 + 1e-6


def test_the_diverging_table_is_two_straight_lines_of_one_length_in_oklab():
    low, centre, high = map(oklab, ((168, 76, 0), (245, 245, 245), (30, 85, 165)))
    reach = min(np.linalg.norm(end - centre) for end in (low, high))
    low, high = (centre + (end - centre) * reach / np.linalg.norm(end - centre) for end in (low, high))
    position = np.linspace(-1, 1, STEPS)[:, None]
    expected = srgb(centre + np.abs(position) * (np.where(position < 0, low, high) - centre))
    assert np.abs(DIVERGING - expected).max() <= 0.5 + 1e-6


# What people without red or green cones see, in linear sRGB: G. Machado et al., IEEE TVCG 2009, severity 1.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


def linear(colours):
    encoded = np.asarray(colours) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def cielab(light):
    """CIELAB (D65) of linear sRGB, by the formulas of CIE 15: not the space that the scales are made in."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratios = (light @ matrix.T) / matrix.sum(axis=1)
    x, y, z = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios / (3 * (6 / 29) ** 2) + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_the_sequential_scale_rises_evenly_in_lightness():
    lightness = cielab(linear(SEQUENTIAL))[:, 0]
    assert (np.diff(lightness) > -0.3).all()  # rounding to 8 bits
    straight = np.linspace(lightness[0], lightness[-1], STEPS)
    assert np.abs(lightness - straight).max() < 4
    assert lightness[-1] - lightness[0] > 70


def test_the_diverging_scale_falls_off_from_its_centre_alike_on_both_sides():
    lab = cielab(linear(DIVERGING))
    below, above = lab[: STEPS // 2][::-1], lab[STEPS // 2 :]
    for side in (below, above):
        assert (np.diff(side[:, 0]) < 0.3).all()
    assert np.abs(below[:, 0] - above[:, 0]).max() < 12


@pytest.mark.parametrize("cones", [np.eye(3), PROTANOPIA, DEUTERANOPIA])
def test_people_without_red_or_green_cones_tell_the_ends_and_the_centre_apart(cones):
    for table in (SEQUENTIAL, DIVERGING):
        low, centre, high = cielab(np.clip(linear(table[[0, STEPS // 2, -1]]) @ np.transpose(cones), 0, 1))
        distances = [np.linalg.norm(one - other) for one, other in ((low, centre), (centre, high), (low, high))]
        assert min(distances) > 30


def test_values_beyond_the_scale_take_its_ends_and_no_number_the_lowest():
    low, high = SEQUENTIAL[0].tolist(), SEQUENTIAL[-1].tolist()
    assert sequential(np.array([-1.0, 0.0, 1.0, 2.0, np.nan])).tolist() == [low, low, high, high, low]


def test_the_centre_is_white_and_both_sides_have_one_scale():
    values = np.array([-1.0, 1.0, 5.0])
    assert span(values, 1.0) == 4.0
    below, centre, above = diverging(values, 1.0)
    assert centre.min() > 240
    assert above.tolist() == DIVERGING[-1].tolist()
    assert below.tolist() == DIVERGING[round(0.25 * (STEPS - 1))].tolist()


def test_values_that_are_all_equal_are_white():
    assert diverging(np.full((2, 3), 7.0), 7.0).min() > 240
