from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench.engine.colours import as_rgb, colours, label_map, outlined, overlay, panel

PALETTE = [(10, 20, 30), (200, 100, 0)]
LABELS = np.array([[0, 1, 255]], dtype=np.uint8)


def test_a_label_map_is_a_palette_png_whose_values_are_the_labels(tmp_path):
    label_map(LABELS, PALETTE, 255).save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as read:
        assert read.mode == "P"
        np.testing.assert_array_equal(np.asarray(read), LABELS)
        assert np.asarray(read.convert("RGB")).tolist() == [[[10, 20, 30], [200, 100, 0], [255, 255, 255]]]


@pytest.mark.parametrize(("classes", "ignore_index"), [(300, 65535), (2, 300)])
def test_labels_beyond_8_bits_become_a_16_bit_png(tmp_path, classes, ignore_index):
    labels = np.array([[0, classes - 1, ignore_index]])
    label_map(labels, [(0, 0, 0)] * classes, ignore_index).save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as read:
        np.testing.assert_array_equal(np.asarray(read), labels)


def test_labels_take_the_colours_of_the_palette_and_ignored_ones_are_white():
    assert colours(LABELS, PALETTE).tolist() == [[[10, 20, 30], [200, 100, 0], [255, 255, 255]]]


def test_an_overlay_is_half_image_half_colour_and_clear_where_ignored():
    image = np.full((3, 1, 3), 100, dtype=np.uint8)
    assert overlay(image, LABELS, PALETTE).tolist() == [[[55, 60, 65], [150, 100, 50], [100, 100, 100]]]


@pytest.mark.parametrize(("channels", "shown"), [(1, [7, 7, 7]), (2, [7, 8, 8]), (3, [7, 8, 9]), (5, [7, 8, 9])])
def test_an_image_of_any_number_of_channels_can_be_shown(channels, shown):
    image = np.arange(7, 7 + channels, dtype=np.uint8)[:, None, None]
    assert as_rgb(image).tolist() == [[shown]]


def test_a_16_bit_image_is_shown_up_to_its_brightest_value():
    image = np.array([[[0, 500, 1000]]], dtype=np.uint16)
    assert as_rgb(image)[0, :, 0].tolist() == [0, 127, 255]
    assert as_rgb(np.zeros((1, 2, 2), dtype=np.uint16)).max() == 0


def test_a_panel_shows_image_truth_prediction_and_overlay_side_by_side():
    image = np.full((1, 2, 3), 50, dtype=np.uint8)
    truth, prediction = np.zeros((2, 3), dtype=np.uint8), np.ones((2, 3), dtype=np.uint8)
    picture = panel(image, truth, prediction, PALETTE)
    assert picture.shape == (2, 4 * 3 + 3 * 4, 3)
    starts = [0, 7, 14, 21]
    assert [picture[0, start].tolist() for start in starts] == [
        [50, 50, 50],
        [10, 20, 30],
        [200, 100, 0],
        [125, 75, 25],
    ]
    assert picture[:, 3:7].min() == 255


def test_borders_of_regions_are_black_inside_and_white_outside():
    regions = np.zeros((4, 5), dtype=np.uint8)
    regions[1:3, 2] = 1
    grey = np.full((4, 5, 3), 128, dtype=np.uint8)
    drawn = outlined(grey, regions)
    expected = [[128, 128, 255, 128, 128], [128, 255, 0, 255, 128], [128, 255, 0, 255, 128], [128, 128, 255, 128, 128]]
    assert drawn[..., 0].tolist() == expected
    assert grey.min() == 128
