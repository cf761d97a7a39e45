from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segbench.engine.captions import colour_bar, resampled, stacked, tile_size, tiled, titled
from segbench.engine.heat import sequential_table


def filled(height, width, value):
    return np.full((height, width, 3), value, dtype=np.uint8)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_tile_is_neither_too_small_for_words_nor_larger_than_a_screen(height, width):
    shown = tile_size(height, width)
    assert 208 <= max(shown) <= 512
    assert min(shown) >= 1


def test_resampling_repeats_or_leaves_out_pixels_and_makes_up_none():
    labels = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    assert resampled(labels, (2, 4)).tolist() == [[0, 0, 1, 1], [2, 2, 255, 255]]
    assert resampled(np.arange(9)[None], (1, 3)).tolist() == [[1, 4, 7]]
    assert resampled(np.zeros((3, 4, 5)), (8, 10)).shape == (3, 8, 10)


def test_a_title_stands_above_its_picture_and_changes_nothing_in_it():
    picture = filled(5, 220, 90)
    tile = titled(picture, "a name")
    np.testing.assert_array_equal(tile[-5:], picture)
    assert tile[:-5].min() < 100
    np.testing.assert_array_equal(titled(picture, "")[:-5], 255)


def test_a_long_title_makes_no_tile_wider():
    assert titled(filled(5, 220, 90), "a name of very many words, none of which is needed" * 3).shape[1] == 220


def test_tiles_go_from_left_to_right_and_then_down():
    picture = tiled([filled(2, 3, value) for value in (10, 20, 30)], columns=2)
    rows = [sorted(set(row[row < 255].tolist())) for row in picture[..., 0]]
    assert [row for row in rows if row] == [[10, 20], [10, 20], [30], [30]]


def test_stacked_pictures_are_filled_up_with_white():
    picture = stacked([filled(1, 2, 0), filled(1, 3, 0)])
    assert picture[..., 0].tolist() == [[0, 0, 255], [0, 0, 0]]


def test_a_colour_bar_runs_from_the_first_colour_to_the_last():
    table = sequential_table()
    bar = colour_bar(table, ("0", "0.5", "1"), 300)
    coloured = [pixel for pixel in bar[0].tolist() if pixel != [255, 255, 255]]
    assert coloured[0] == table[0].tolist()
    assert coloured[-1] == table[-1].tolist()
    assert bar.shape[1] == 300
