from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.engine.data.user_files import find_images, find_label_maps, read_label_map
from segbench.errors import DataError


def test_files_and_folders_are_found_and_other_files_left_out(tmp_path):
    folder = tmp_path / "some images"
    folder.mkdir()
    for name in ("b.PNG", "a.jpeg", "notes.txt", "c.tiff"):
        (folder / name).touch()
    alone = tmp_path / "alone.bmp"
    alone.touch()
    found = find_images([alone, folder])
    assert found == [alone, *(folder / name for name in ("a.jpeg", "b.PNG", "c.tiff"))]


LITTER = ("._a.png", ".DS_Store", "Thumbs.db", "a.png:Zone.Identifier")


def test_what_other_systems_leave_is_passed_over(tmp_path):
    for name in ("a.png", *LITTER):
        (tmp_path / name).touch()
    assert find_images([tmp_path]) == [tmp_path / "a.png"]
    assert find_label_maps(tmp_path, ["a"]) == [tmp_path / "a.png"]


def test_label_maps_may_be_of_any_lossless_kind_and_named_in_capitals_and_any_unicode_form(tmp_path):
    for name in ("a.PNG", "b.tif", "c.TIFF", "re\u0301tine.bmp"):
        (tmp_path / name).touch()
    found = find_label_maps(tmp_path, ["a", "b", "c", "r\u00e9tine"])
    assert [path.name for path in found] == ["a.PNG", "b.tif", "c.TIFF", "re\u0301tine.bmp"]


def test_two_label_maps_of_one_image_are_an_error(tmp_path):
    for name in ("a.png", "a.tif"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"a\.png and .*a\.tif are label maps of one image; keep one"):
        find_label_maps(tmp_path, ["a"])


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_label_maps_of_any_depth_hold_the_ids_that_are_stored(tmp_path, bits):
    Image.fromarray(LABELS).save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), LABELS)


@pytest.mark.parametrize("metadata", ["zarr.json", ".zarray", ".zgroup"])
def test_a_folder_that_is_zarr_is_an_image_alone_and_among_files(tmp_path, metadata):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / metadata).touch()
    for name in ("a.png", "c.png"):
        (tmp_path / name).touch()
    assert find_images([tmp_path / "b"]) == [tmp_path / "b"]
    assert [path.name for path in find_images([tmp_path])] == ["a.png", "b", "c.png"]


def test_a_missing_image_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"there is no image .*gone\.png; give an image file"):
        find_images([tmp_path / "gone.png"])
    with pytest.raises(DataError, match=r"there is no image in .*; images end in \.bmp"):
        find_images([Path(tmp_path)])


TRUTH = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)
LABELS = np.array([[0, 1, 1], [2, 0, 0]], dtype=np.uint8)
PALETTE = ((0, 0, 0), (128, 64, 128), (0, 0, 142))


def saved(path, labels, **options):
    Image.fromarray(labels).save(path, **options)
    return path


def read(path):
    return read_label_map(path, TRUTH, PALETTE, ignore_index=255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_values_are_class_ids(tmp_path, dtype):
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", LABELS.astype(dtype))), LABELS)


def test_the_indices_of_a_palette_are_class_ids(tmp_path):
    image = Image.fromarray(LABELS)
    image.putpalette([90, 80, 70, 60, 50, 40, 30, 20, 10])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), LABELS)


def test_a_palette_png_of_2_bits_is_read(tmp_path):
    image = Image.fromarray(LABELS)
    image.putpalette([0, 0, 0, 60, 50, 40, 30, 20, 10])
    image.save(tmp_path / "a.png", bits=2)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), LABELS)


def test_another_size_is_an_error_and_nothing_is_resized(tmp_path):
    path = saved(tmp_path / "a.png", np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(
        DataError, match=r"a\.png: it is 6 x 4 pixels, its image is 3 x 2; label maps are never resized"
    ):
        read(path)


def test_a_value_that_is_no_class_is_an_error(tmp_path):
    path = saved(tmp_path / "a.png", np.where(LABELS == 2, 7, LABELS).astype(np.uint8))
    with pytest.raises(DataError, match=r"a\.png: it holds 7; allowed are the class ids 0 to 2"):
        read(path)


def test_ignore_index_is_allowed_only_where_the_truth_is_ignored(tmp_path):
    there = np.where(TRUTH == 255, 255, LABELS)
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", there)), there)
    elsewhere = np.where(LABELS == 0, 255, LABELS).astype(np.uint8)
    with pytest.raises(DataError, match=r"3 labelled pixels are predicted as 255, which is no class"):
        read(saved(tmp_path / "b.png", elsewhere))


def test_fractions_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a mask holds whole numbers"):
        read(saved(tmp_path / "a.tif", np.zeros((2, 3), dtype=np.float32)))


def test_colours_are_the_classes_that_have_them_in_the_dataset(tmp_path):
    colours = np.array(PALETTE, dtype=np.uint8)[LABELS]
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", colours)), LABELS)


def test_a_colour_that_is_no_class_s_is_named_with_its_place(tmp_path):
    colours = np.array(PALETTE, dtype=np.uint8)[LABELS]
    colours[1, 2] = 7
    with pytest.raises(
        DataError,
        match=r"a\.png: the colour \[7, 7, 7\] at row 1, column 2 is no class's; those of the dataset are "
        r"\[0, 0, 0\], \[128, 64, 128\], \[0, 0, 142\], in the order",
    ):
        read(saved(tmp_path / "a.png", colours))


def test_a_colour_of_two_classes_is_refused(tmp_path):
    path = saved(tmp_path / "a.png", np.zeros((2, 3, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png: several classes have the colour \[0, 0, 0\]; save class ids"):
        read_label_map(path, TRUTH, (*PALETTE, PALETTE[0]), ignore_index=255)


def test_a_truncated_file_is_an_error_that_names_it(tmp_path):
    noise = np.random.default_rng(0).integers(0, 3, (200, 200), dtype=np.uint8)
    path = saved(tmp_path / "a.png", noise)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
        read_label_map(path, noise, PALETTE, 255)


def test_label_maps_are_found_by_id_in_the_order_of_the_split(tmp_path):
    for name in ("b", "a 1", "city/c.0"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        saved(tmp_path / f"{name}.png", LABELS)
    (tmp_path / "notes.txt").touch()
    found = find_label_maps(tmp_path, ["city/c.0", "a 1", "b"])
    assert found == [tmp_path / "city" / "c.0.png", tmp_path / "a 1.png", tmp_path / "b.png"]


def test_missing_and_extra_label_maps_are_named(tmp_path):
    saved(tmp_path / "a.png", LABELS)
    saved(tmp_path / "z.png", LABELS)
    with pytest.raises(DataError) as caught:
        find_label_maps(tmp_path, ["a", "b", "c"])
    assert "2 of 3 images have none (b, c); 1 belong to no image of the split (z)" in str(caught.value)
    assert "such as a.png" in str(caught.value)


def test_a_long_list_of_missing_label_maps_is_cut(tmp_path):
    with pytest.raises(DataError, match=r"20 of 20 images have none \(0, 1, 2, 3, 4, 5, 6, 7 and 12 more\)"):
        find_label_maps(tmp_path, [str(index) for index in range(20)])


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*gone of label maps"):
        find_label_maps(tmp_path / "gone", ["a"])
