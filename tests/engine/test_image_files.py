from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.engine.image_files import find_images, read_image
from segbench.errors import DataError

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (5, 7), dtype=np.uint8)
RGB = GENERATOR.integers(0, 256, (5, 7, 3), dtype=np.uint8)
DEEP = GENERATOR.integers(0, 65536, (5, 7), dtype=np.uint16)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
def test_colours_are_read_as_they_are_stored(tmp_path, ending):
    Image.fromarray(RGB).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{ending}", 3), RGB.transpose(2, 0, 1))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey_of_16_bits_keeps_its_bits(tmp_path, ending):
    Image.fromarray(DEEP).save(tmp_path / f"a.{ending}")
    pixels = read_image(tmp_path / f"a.{ending}", 1)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[0], DEEP)


def test_a_jpeg_is_read_as_pillow_decodes_it(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as decoded:
        np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", 3), np.asarray(decoded).transpose(2, 0, 1))


def test_grey_is_repeated_for_a_network_of_three_channels(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 3), np.stack([GREY] * 3))


def test_colours_become_luma_for_a_network_of_one_channel(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    luma = np.rint(0.299 * RGB[..., 0] + 0.587 * RGB[..., 1] + 0.114 * RGB[..., 2])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 1)[0], luma)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped(tmp_path, mode):
    image = Image.fromarray(RGB if mode == "RGBA" else GREY).convert(mode)
    image.putalpha(7)
    image.save(tmp_path / "a.png")
    expected = RGB.transpose(2, 0, 1) if mode == "RGBA" else np.stack([GREY] * 3)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 3), expected)


def test_a_palette_becomes_its_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8))
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png", 3).tolist() == [[[1, 4]], [[2, 5]], [[3, 6]]]


def test_a_black_and_white_image_has_the_values_0_and_255(tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 1)[0], np.where(GREY > 127, 255, 0))


def test_the_pages_of_a_tiff_are_its_channels(tmp_path):
    pages = [Image.fromarray(DEEP // (index + 1)) for index in range(5)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    expected = np.stack([DEEP // (index + 1) for index in range(5)])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 5), expected)


def test_another_number_of_channels_than_the_networks_is_an_error(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: has 3 channels; the network was trained on images of 5"):
        read_image(tmp_path / "a.png", 5)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_unreadable_image_is_an_error_that_names_it(tmp_path, content):
    Image.fromarray(RGB).save(tmp_path / "whole.png")
    truncated = (tmp_path / "whole.png").read_bytes()[:90]
    (tmp_path / "a.png").write_bytes(truncated if content is None else content)
    with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
        read_image(tmp_path / "a.png", 3)


def test_numbers_wider_than_16_bits_are_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 70_000, dtype=np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="70000"):
        read_image(tmp_path / "a.tif", 1)


def test_files_and_folders_are_found_and_other_files_left_out(tmp_path):
    folder = tmp_path / "some images"
    folder.mkdir()
    for name in ("b.PNG", "a.jpeg", "notes.txt", "c.tiff"):
        (folder / name).touch()
    alone = tmp_path / "alone.bmp"
    alone.touch()
    found = find_images([alone, folder])
    assert found == [alone, *(folder / name for name in ("a.jpeg", "b.PNG", "c.tiff"))]


def test_a_missing_image_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"there is no image .*gone\.png"):
        find_images([tmp_path / "gone.png"])
    with pytest.raises(DataError, match=r"there is no image in .*; images end in \.bmp"):
        find_images([Path(tmp_path)])
