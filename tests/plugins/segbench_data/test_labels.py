from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segbench import DataError
from segbench_data.labels import LabelTable, MaskReader, PagesReader, class_ids
from segbench_data.tables import colour_code

from ...images.raw_files import raw_png  # noqa: TID252 - tests have no absolute name

RED, BLUE = colour_code((255, 0, 0)), colour_code((0, 0, 255))


def by_value(ids, ignore_index=255, **options):
    return MaskReader(LabelTable(ids, ignore_index, **options))


def by_colour(ids, ignore_index=255, **options):
    return MaskReader(None, LabelTable(ids, ignore_index, colours=True, **options))


def test_class_ids_and_void_are_read_as_they_are(tmp_path, save):
    save(tmp_path / "m.png", [[0, 1, 255]])
    labels = MaskReader(class_ids(2, 255))(tmp_path / "m.png")
    assert labels.tolist() == [[0, 1, 255]]
    assert labels.dtype == np.uint8


def test_a_palette_mask_is_read_by_its_indices(tmp_path):
    mask = Image.frombytes("P", (3, 1), bytes([0, 1, 255]))
    mask.putpalette([7] * 3 * 255 + [9] * 3)
    mask.save(tmp_path / "m.png")
    assert MaskReader(class_ids(2, 255))(tmp_path / "m.png").tolist() == [[0, 1, 255]]


def test_values_are_looked_up(tmp_path, save):
    save(tmp_path / "m.png", [[0, 128, 255]])
    assert by_value({0: 0, 128: 1, 255: 1})(tmp_path / "m.png").tolist() == [[0, 1, 1]]


def test_one_bit_masks_hold_0_and_1(tmp_path, save):
    save(tmp_path / "m.png", np.array([[True, False]]))
    assert MaskReader(class_ids(2, 255))(tmp_path / "m.png").tolist() == [[1, 0]]


def test_16_bit_masks_hold_more_than_256_classes(tmp_path, save):
    save(tmp_path / "m.png", np.array([[0, 299, 65535]], dtype=np.uint16))
    labels = MaskReader(class_ids(300, 65535))(tmp_path / "m.png")
    assert labels.tolist() == [[0, 299, 65535]]
    assert labels.dtype == np.uint16


def test_an_unlisted_value_is_refused_with_what_is_allowed(tmp_path, save):
    save(tmp_path / "m.png", [[0, 7, 7, 9]])
    with pytest.raises(
        DataError,
        match=r"m\.png: the mask holds the value 7 \(2 pixels\) and 1 other unlisted ones; allowed are 0 to 2, 255;",
    ):
        MaskReader(class_ids(3, 255))(tmp_path / "m.png")


def test_unlisted_values_are_ignored_where_wanted(tmp_path, save):
    save(tmp_path / "m.png", [[0, 7, 1]])
    assert by_value({0: 0, 1: 1}, ignore_unlisted=True)(tmp_path / "m.png").tolist() == [[0, 255, 1]]


def test_colours_are_looked_up_and_alpha_does_not_matter(tmp_path, save):
    save(tmp_path / "m.png", [[[255, 0, 0, 0], [0, 0, 255, 255]]])
    assert by_colour({RED: 0, BLUE: 1})(tmp_path / "m.png").tolist() == [[0, 1]]


def test_a_palette_mask_is_read_by_its_colours_where_these_are_listed(tmp_path):
    mask = Image.new("P", (2, 1))
    mask.putpalette([0, 0, 255, 255, 0, 0])
    mask.putpixel((1, 0), 1)
    mask.save(tmp_path / "m.png")
    assert by_colour({RED: 0, BLUE: 1})(tmp_path / "m.png").tolist() == [[1, 0]]


def test_an_unlisted_colour_is_refused_as_benchmark_files_write_it(tmp_path, save):
    save(tmp_path / "m.png", [[[255, 0, 0], [0, 255, 0]]])
    with pytest.raises(
        DataError, match=r"the colour \[0, 255, 0\] \(1 pixels\); allowed are \[0, 0, 255\], \[255, 0, 0\];"
    ):
        by_colour({RED: 0, BLUE: 1})(tmp_path / "m.png")


def test_grey_saved_in_colour_is_read_as_grey(tmp_path, save):
    save(tmp_path / "m.png", [[[1, 1, 1], [0, 0, 0]]])
    assert MaskReader(class_ids(2, 255))(tmp_path / "m.png").tolist() == [[1, 0]]


def test_16_bit_colours_are_compared_with_all_their_bits(tmp_path):
    stored = np.array([[[256, 0, 0], [257, 0, 0]]], dtype=np.uint16)
    (tmp_path / "m.png").write_bytes(raw_png(stored))
    reader = by_colour({colour_code((256, 0, 0)): 0, colour_code((257, 0, 0)): 1})
    assert reader(tmp_path / "m.png").tolist() == [[0, 1]]
    with pytest.raises(DataError, match=r"the colour \[257, 0, 0\] \(1 pixels\)"):
        by_colour({colour_code((256, 0, 0)): 0, RED: 1})(tmp_path / "m.png")


def save_pages(path, *pages):
    first, *others = (Image.fromarray(np.array(page, np.uint8)) for page in pages)
    first.save(path, save_all=True, append_images=others)


def test_each_page_is_a_class(tmp_path):
    save_pages(tmp_path / "m.tif", [[1, 0, 0]], [[0, 255, 0]])
    assert PagesReader(2, 255)(tmp_path / "m.tif").tolist() == [[0, 1, 255]]
    assert PagesReader(3, 255)(tmp_path / "m.tif").tolist() == [[1, 2, 0]]


def test_pages_that_fit_no_classes_and_pixels_on_two_pages_are_refused(tmp_path):
    save_pages(tmp_path / "m.tif", [[1, 1, 0]], [[0, 1, 0]])
    with pytest.raises(DataError, match=r"m\.tif: 2 pages for 5 classes; .* a page for each class"):
        PagesReader(5, 255)(tmp_path / "m.tif")
    with pytest.raises(DataError, match=r"m\.tif: 1 pixels are marked on more than one page"):
        PagesReader(2, 255)(tmp_path / "m.tif")


def test_a_mask_in_colour_needs_a_table(tmp_path, save):
    save(tmp_path / "m.png", [[[255, 0, 0], [0, 255, 0]]])
    with pytest.raises(DataError, match=r"m\.png: the mask is in colour; say in `colours`"):
        MaskReader(class_ids(2, 255))(tmp_path / "m.png")


def test_floating_point_masks_are_refused(tmp_path, save):
    save(tmp_path / "m.tif", np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(DataError, match=r"m\.tif: a mask holds whole numbers, this one float32"):
        MaskReader(class_ids(2, 255))(tmp_path / "m.tif")


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1), st.dictionaries(st.integers(0, 20), st.integers(0, 9), min_size=1))
def test_looking_up_agrees_with_a_dictionary(codes, ids):
    labels = LabelTable(ids, 255, ignore_unlisted=True).look_up(np.array([codes]), None)
    assert labels[0].tolist() == [ids.get(code, 255) for code in codes]
