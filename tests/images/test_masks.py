from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import DataError
from segbench.images import Reading, read_mask, read_mask_colours
from segbench.images.masks import read_mask_pages
from segbench.images.notes import noting

from .raw_files import raw_png, raw_tiff

NOISE = np.random.default_rng(0)


def ids(count, *channels, dtype=np.uint8):
    return NOISE.integers(0, count, (6, 13, *(channels or (1,))), dtype=dtype)


@pytest.mark.parametrize("palette", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_masks_of_any_depth_hold_the_ids_that_are_stored(tmp_path, bits, palette):
    stored = ids(2**bits)
    (tmp_path / "m.png").write_bytes(raw_png(stored, bits, palette))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), stored[..., 0])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_tiff_masks_of_any_depth_hold_the_ids_that_are_stored(tmp_path, bits, order):
    stored = ids(2**bits, dtype=np.uint16)
    (tmp_path / "m.tif").write_bytes(raw_tiff(stored, order, bits=bits))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), stored[..., 0])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_masks_keep_both_bytes_of_colours_and_of_grey_with_alpha(tmp_path, channels):
    stored = ids(65536, channels, dtype=np.uint16)
    (tmp_path / "m.png").write_bytes(raw_png(stored, 16))
    expected = {1: stored[..., 0], 2: stored[..., 0], 3: stored, 4: stored[..., :3]}[channels]
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), expected)


def test_ids_in_16_bit_colours_are_not_cut_to_their_high_byte(tmp_path):
    grey = ids(3, dtype=np.uint16)
    (tmp_path / "m.png").write_bytes(raw_png(np.repeat(grey, 3, axis=2), 16))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), np.repeat(grey, 3, axis=2))


def test_colours_of_a_mask_are_those_that_are_shown(tmp_path):
    (tmp_path / "m.png").write_bytes(raw_png(ids(4), 2, palette=True))
    with Image.open(tmp_path / "m.png") as image:
        np.testing.assert_array_equal(read_mask_colours(tmp_path / "m.png"), np.asarray(image.convert("RGB")))
    (tmp_path / "g.png").write_bytes(raw_png(np.array([[[0], [1]]], np.uint8), 1))
    assert read_mask_colours(tmp_path / "g.png").tolist() == [[[0, 0, 0], [255, 255, 255]]]


LOSSY = {
    "a JPEG": ("JPEG", {}),
    "a WebP": ("WEBP", {"quality": 80}),
    "a WebP with alpha": ("WEBP", {"quality": 80, "alpha": True}),
    "a TIFF of JPEG": ("TIFF", {"compression": "jpeg"}),
}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_a_mask_stored_with_losses_is_refused_whatever_its_name(tmp_path, name, ending):
    form, options = LOSSY[name]
    picture = Image.fromarray(ids(3, 3))
    if options.pop("alpha", False) or "alpha" in name:
        picture.putalpha(Image.fromarray(ids(255)[..., 0]))
    picture.save(tmp_path / f"m.{ending}", form, **options)
    with pytest.raises(DataError, match=rf"m\.{ending}: a mask stored as .* has lost its class ids"):
        read_mask(tmp_path / f"m.{ending}")


def test_lossless_content_under_another_name_is_read_and_noted(tmp_path):
    stored = ids(3)[..., 0]
    Image.fromarray(np.repeat(stored[..., None], 3, axis=2)).save(tmp_path / "m.png", "WEBP", lossless=True)
    with noting() as notes:
        np.testing.assert_array_equal(read_mask(tmp_path / "m.png")[..., 0], stored)
    assert notes[0].format == "WEBP named .png"


@pytest.mark.parametrize("form", ["TIFF", "PNG"])
def test_several_pages_are_refused_with_their_number(tmp_path, form):
    first, *others = (Image.fromarray(ids(3)[..., 0]) for _ in range(3))
    first.save(tmp_path / "m.png", form, save_all=True, append_images=others)
    with pytest.raises(DataError, match=r"m\.png: the mask has 3 pages; .* set pages: classes"):
        read_mask(tmp_path / "m.png")


def test_pages_are_read_each_where_they_are_asked_for(tmp_path):
    pages = [ids(2)[..., 0] for _ in range(3)]
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "m.tif", save_all=True, append_images=others)
    np.testing.assert_array_equal(read_mask_pages(tmp_path / "m.tif"), np.stack(pages))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_classes_in_the_alpha_channel_are_noted(tmp_path, mode):
    picture = Image.new(mode, (13, 6))
    picture.putalpha(Image.fromarray(ids(3)[..., 0]))
    picture.save(tmp_path / "m.png")
    with noting() as notes:
        assert not read_mask(tmp_path / "m.png").any()
    assert "alpha" in notes[0].remark


def test_an_even_alpha_channel_and_one_beside_other_colours_are_not_noted(tmp_path):
    opaque = Image.fromarray(ids(3)[..., 0]).convert("LA")
    opaque.save(tmp_path / "opaque.png")
    opaque.putalpha(Image.fromarray(ids(255)[..., 0]))
    opaque.save(tmp_path / "both.png")
    with noting() as notes:
        read_mask(tmp_path / "opaque.png")
        read_mask(tmp_path / "both.png")
    assert [note.remark for note in notes] == ["", ""]


def test_a_mask_that_counts_from_white_is_refused(tmp_path):
    (tmp_path / "m.tif").write_bytes(raw_tiff(ids(3), tags=[(262, 0)]))
    with pytest.raises(DataError, match="a mask in which 0 is white"):
        read_mask(tmp_path / "m.tif")


@pytest.mark.parametrize("tags", [[(339, 2)], [(339, 3)]])
def test_signed_and_broken_numbers_are_refused_and_not_taken_for_ids(tmp_path, tags):
    (tmp_path / "m.tif").write_bytes(raw_tiff(ids(3), tags=tags))
    with pytest.raises(DataError, match=r"m\.tif"):
        read_mask(tmp_path / "m.tif")


def test_a_photo_as_a_mask_is_refused_by_what_it_is(tmp_path):
    Image.new("CMYK", (3, 3)).save(tmp_path / "m.tif")
    with pytest.raises(DataError, match="a mask in 8-bit CMYK has no exact class ids"):
        read_mask(tmp_path / "m.tif")


def test_a_gif_is_read_by_its_colours_alone_as_its_numbers_are_no_ids(tmp_path):
    stored = ids(3)[..., 0] + 4
    Image.fromarray(stored).save(tmp_path / "m.gif")
    np.testing.assert_array_equal(read_mask_colours(tmp_path / "m.gif")[..., 0], stored)
    with pytest.raises(DataError, match=r"m\.gif: a GIF numbers its colours anew"):
        read_mask(tmp_path / "m.gif")


def test_a_mask_is_turned_as_its_image_is(tmp_path):
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / "m.png", exif=exif)
    with pytest.raises(DataError, match="orientation tag"):
        read_mask(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", Reading(orientation="stored")), stored)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", Reading(orientation="apply")), np.rot90(stored, -1))
