from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageOps

from segbench import DataError
from segbench.images import Reading, read_image, read_mask
from segbench.images.opening import describe_orientation, pixel_count

from .raw_files import raw_tiff

NOISE = np.random.default_rng(0)
PHOTO = NOISE.integers(0, 256, (16, 24, 3), dtype=np.uint8)


def save_turned(path, tag, **options):
    exif = Image.Exif()
    exif[274] = tag
    Image.fromarray(PHOTO).save(path, exif=exif, **options)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_an_orientation_tag_is_applied_or_not_as_asked(tmp_path, ending, tag):
    path = tmp_path / f"a.{ending}"
    save_turned(path, tag)
    Image.fromarray(PHOTO).save(tmp_path / f"plain.{ending}")
    with Image.open(tmp_path / f"plain.{ending}") as plain:
        stored = np.asarray(plain)
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(path, 3, Reading(orientation="stored")), stored)
    np.testing.assert_array_equal(read_image(path, 3, Reading(orientation="apply")), shown)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_grey_or_palette_tiff_stored_on_its_side_is_read_as_it_is_stored_or_shown(tmp_path, mode, tag):
    image = Image.fromarray(PHOTO[..., 0])
    if mode == "P":
        image.putpalette(range(256))
    exif = Image.Exif()
    exif[274] = tag
    image.save(tmp_path / "a.tif", exif=exif)
    image.getexif()[274] = tag
    shown = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", Reading(orientation="stored")), PHOTO[..., 0])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", Reading(orientation="apply")), shown)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_an_orientation_tag_is_refused_unless_it_says_upright(tmp_path, ending):
    save_turned(tmp_path / f"a.{ending}", 6)
    with pytest.raises(
        DataError, match=r"orientation tag \(6\) .* turned by 90 degrees; set orientation: apply .* stored"
    ):
        read_image(tmp_path / f"a.{ending}", 3)
    save_turned(tmp_path / f"b.{ending}", 1)
    assert read_image(tmp_path / f"b.{ending}", 3).shape == PHOTO.shape


def test_the_orientation_is_told_for_messages(tmp_path):
    save_turned(tmp_path / "a.jpg", 8)
    Image.fromarray(PHOTO).save(tmp_path / "b.png")
    assert describe_orientation(tmp_path / "a.jpg").startswith("its orientation tag (8)")
    assert describe_orientation(tmp_path / "b.png") == ""


def bomb(width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_an_image_beyond_the_limit_is_refused_by_its_header_with_the_way_to_raise_it(tmp_path):
    (tmp_path / "a.png").write_bytes(bomb(60_000, 60_000))
    with pytest.raises(
        DataError, match=r"60000 x 60000 = 3600000000 pixels, .* 180000000; .* set max_pixels: 3600000000"
    ):
        read_image(tmp_path / "a.png", 3)


def test_the_limit_can_be_lowered_and_raised(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 3, Reading(max_pixels=PHOTO.size // 3)).shape == PHOTO.shape
    with pytest.raises(DataError, match="set max_pixels: 384"):
        read_image(tmp_path / "a.png", 3, Reading(max_pixels=383))


def test_pixels_are_counted_by_the_header(tmp_path):
    (tmp_path / "a.png").write_bytes(bomb(60_000, 60_000))
    (tmp_path / "b.png").write_bytes(b"none")
    assert pixel_count(tmp_path / "a.png") == 3_600_000_000
    assert pixel_count(tmp_path / "b.png") == 0


def test_a_tiff_without_dimensions_is_named(tmp_path):
    whole = raw_tiff(PHOTO)
    for tag in (256, 257):
        entry = struct.pack("<H", tag)
        place = whole.index(entry, 8)
        (tmp_path / "a.tif").write_bytes(whole[:place] + struct.pack("<H", 33000) + whole[place + 2 :])
        with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image"):
            read_image(tmp_path / "a.tif", 3)


def test_text_in_the_place_of_an_image_is_quoted(tmp_path):
    (tmp_path / "a.png").write_text("<!DOCTYPE html><html>404</html>")
    with pytest.raises(
        DataError, match=r"a\.png: cannot be read as an image: it is text that begins with '<!DOCTYPE html>"
    ):
        read_image(tmp_path / "a.png", 3)
    (tmp_path / "b.png").touch()
    with pytest.raises(DataError, match="it is empty"):
        read_image(tmp_path / "b.png", 3)


@pytest.mark.parametrize("place", range(0, 300, 7))
@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "bmp"])
def test_a_damaged_file_is_read_or_named(tmp_path, ending, place):
    Image.fromarray(PHOTO).save(tmp_path / f"a.{ending}")
    content = bytearray((tmp_path / f"a.{ending}").read_bytes())
    content[place] ^= 0xFF
    (tmp_path / f"a.{ending}").write_bytes(content)
    with suppress(DataError):
        read_image(tmp_path / f"a.{ending}", 3)
