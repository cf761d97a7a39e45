from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segbench.engine.pictures.colour_maps import SEQUENTIAL
from segbench.engine.pictures.drawing import (
    add_title,
    arrange_tiles,
    as_rgb,
    colour_bar,
    colour_labels,
    label_map,
    labels_of_colours,
    outline,
    overlay,
    panel,
    resample,
    sample_grid,
    split_panel,
    stack,
    tile_size,
)

TITLE = 20  # height of the line of titles above a panel


def filled(height, width, value):
    return np.full((height, width, 3), value, dtype=np.uint8)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_tile_is_neither_too_small_for_words_nor_larger_than_a_screen(height, width):
    shown = tile_size(height, width)
    assert 208 <= max(shown) <= 512
    assert min(shown) >= 1


def test_resampling_repeats_or_leaves_out_pixels_and_makes_up_none():
    labels = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    assert resample(labels, (2, 4)).tolist() == [[0, 0, 1, 1], [2, 2, 255, 255]]
    assert resample(np.arange(9)[None], (1, 3)).tolist() == [[1, 4, 7]]
    assert resample(np.zeros((3, 4, 5)), (8, 10)).shape == (3, 8, 10)


def test_a_title_stands_above_its_picture_and_changes_nothing_in_it():
    picture = filled(5, 220, 90)
    tile = add_title(picture, "a name")
    np.testing.assert_array_equal(tile[-5:], picture)
    assert tile[:-5].min() < 100
    np.testing.assert_array_equal(add_title(picture, "")[:-5], 255)


def test_a_long_title_makes_no_tile_wider():
    assert add_title(filled(5, 220, 90), "a name of very many words, none of which is needed" * 3).shape[1] == 220


def test_tiles_go_from_left_to_right_and_then_down():
    picture = arrange_tiles([filled(2, 3, value) for value in (10, 20, 30)], columns=2)
    rows = [sorted(set(row[row < 255].tolist())) for row in picture[..., 0]]
    assert [row for row in rows if row] == [[10, 20], [10, 20], [30], [30]]


def test_stacked_pictures_are_filled_up_with_white():
    picture = stack([filled(1, 2, 0), filled(1, 3, 0)])
    assert picture[..., 0].tolist() == [[0, 0, 255], [0, 0, 0]]


def test_a_colour_bar_runs_from_the_first_colour_to_the_last():
    bar = colour_bar(SEQUENTIAL, ("0", "0.5", "1"), 300)
    coloured = [pixel for pixel in bar[0].tolist() if pixel != [255, 255, 255]]
    assert coloured[0] == SEQUENTIAL[0].tolist()
    assert coloured[-1] == SEQUENTIAL[-1].tolist()
    assert bar.shape[1] == 300


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
    assert colour_labels(LABELS, PALETTE).tolist() == [[[10, 20, 30], [200, 100, 0], [255, 255, 255]]]


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
    assert picture.shape == (TITLE + 2, 4 * 3 + 3 * 4, 3)
    starts = [0, 7, 14, 21]
    assert [picture[TITLE, start].tolist() for start in starts] == [
        [50, 50, 50],
        [10, 20, 30],
        [200, 100, 0],
        [125, 75, 25],
    ]
    assert picture[:, 3:7].min() == 255


def test_each_part_of_a_panel_has_a_title_above_it():
    white = np.full((3, 2, 80), 255, dtype=np.uint8)
    labels = np.zeros((2, 80), dtype=np.uint8)
    titles = panel(white, labels, labels, PALETTE)[:TITLE]
    inked = (titles < 255).any(axis=(0, 2))
    assert [inked[start : start + 80].any() for start in (0, 84, 168, 252)] == [True] * 4
    assert not inked[[81, 165, 249]].any()  # between them


def test_borders_of_regions_are_black_inside_and_white_outside():
    regions = np.zeros((4, 5), dtype=np.uint8)
    regions[1:3, 2] = 1
    grey = np.full((4, 5, 3), 128, dtype=np.uint8)
    drawn = outline(grey, regions)
    expected = [[128, 128, 255, 128, 128], [128, 255, 0, 255, 128], [128, 255, 0, 255, 128], [128, 128, 255, 128, 128]]
    assert drawn[..., 0].tolist() == expected
    assert grey.min() == 128


WHITE = [255, 255, 255]


def pixels(images):
    return np.asarray(sample_grid(images)).tolist()


def test_five_images_fill_a_square_row_by_row_and_leave_the_rest_white():
    levels = torch.tensor([0, 51, 102, 153, 204]) / 127.5 - 1
    picture = np.asarray(sample_grid(levels.view(5, 1, 1, 1).expand(-1, 3, 4, 6)))
    assert picture.shape == (4 + 2 + 4, 3 * 6 + 2 * 2, 3)
    corners = [picture[top, left].tolist() for top in (0, 6) for left in (0, 8, 16)]
    assert corners == [[0] * 3, [51] * 3, [102] * 3, [153] * 3, [204] * 3, WHITE]
    assert (picture[4:6] == 255).all()
    assert (picture[:, 6:8] == 255).all()


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 64, 64]), (3, [0, 64, 128]), (5, [0, 64, 128])]
)
def test_images_of_any_number_of_channels_can_be_shown(channels, shown):
    values = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])[:channels]
    assert pixels(values.view(1, channels, 1, 1)) == [[shown]]


def test_values_outside_of_the_range_are_clipped_and_what_is_not_finite_is_shown():
    images = torch.tensor([-7.0, 7.0, torch.nan, torch.inf]).view(1, 1, 1, 4)
    assert pixels(images) == [[[0] * 3, WHITE, [128] * 3, WHITE]]


def test_generated_images_may_carry_a_gradient_and_half_precision():
    images = torch.zeros(4, 3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert sample_grid(images).size == (6, 6)


@pytest.mark.parametrize("classes", [255, 256, 300, 65535])
def test_labels_of_any_number_of_classes_are_coloured_and_drawn(classes):
    labels = np.array([[0, classes - 1]], dtype=np.uint8 if classes <= 256 else np.uint16)
    palette = [(0, 0, 0)] * (classes - 1) + [(1, 2, 3)]
    assert colour_labels(labels, palette).tolist() == [[[0, 0, 0], [1, 2, 3]]]
    assert overlay(np.zeros((3, 1, 2), np.uint8), labels, palette)[0, 1].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(np.asarray(label_map(labels, palette, 65535)), labels)


def test_image_and_truth_are_found_again_in_a_panel():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 5, 7), dtype=np.uint8)
    truth = rng.choice(np.array([0, 1, 255], dtype=np.uint8), (5, 7))
    palette = [(10, 20, 30), (0, 0, 0)]
    titled = panel(image, truth, truth, palette)
    for picture in (titled, titled[TITLE:]):  # older versions wrote no titles
        pixels, colours = split_panel(picture, 5)
        np.testing.assert_array_equal(pixels, image.transpose(1, 2, 0))
        np.testing.assert_array_equal(labels_of_colours(colours, palette, 255), truth)


def test_of_classes_of_one_colour_the_first_is_found_in_a_picture():
    assert labels_of_colours(filled(1, 1, 7), [(7, 7, 7), (7, 7, 7)], 255).tolist() == [[0]]
