from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import DataError
from segbench.images import Reading, read_image
from segbench.images.notes import noting

from .raw_files import raw_png, raw_tiff

NOISE = np.random.default_rng(0)


def noise(*shape, dtype=np.uint8):
    return NOISE.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "tiff"])
def test_lossless_files_give_the_stored_pixels(tmp_path, save, extension):
    pixels = save(tmp_path / f"a.{extension}", noise(5, 7, 3))
    assert np.array_equal(read_image(tmp_path / f"a.{extension}", 3), pixels)


def test_a_jpeg_gives_nearly_the_stored_pixels(tmp_path, save):
    pixels = save(tmp_path / "a.jpg", np.full((16, 16, 3), 200, dtype=np.uint8), quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg", 3).astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_grey_is_repeated_for_three_channels_and_keeps_its_16_bits(tmp_path, save, extension):
    pixels = save(tmp_path / f"a.{extension}", noise(5, 7, dtype=np.uint16))
    image = read_image(tmp_path / f"a.{extension}", 3)
    assert image.dtype == np.uint16
    assert all(np.array_equal(image[..., channel], pixels) for channel in range(3))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_16_bit_colour_png_keeps_both_bytes_of_each_sample(tmp_path, channels):
    pixels = noise(6, 5, channels, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(raw_png(pixels))
    assert np.array_equal(read_image(tmp_path / "a.png", channels), pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_a_16_bit_colour_tiff_keeps_both_bytes_of_each_sample(tmp_path, order, deflate):
    pixels = noise(6, 5, 3, dtype=np.uint16)
    (tmp_path / "a.tif").write_bytes(raw_tiff(pixels, order, deflate))
    assert np.array_equal(read_image(tmp_path / "a.tif", 3), pixels)


def test_16_bit_grey_with_alpha_keeps_both_bytes_of_each_sample(tmp_path):
    pixels = noise(6, 5, 2, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(raw_png(pixels))
    assert np.array_equal(read_image(tmp_path / "a.png", 2), pixels)
    assert np.array_equal(read_image(tmp_path / "a.png", 1), pixels[..., :1])


def test_colour_becomes_luma_for_one_channel(tmp_path, save):
    save(tmp_path / "a.png", [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]])
    # Rec. 601: 0.299, 0.587, 0.114 of 255.
    assert read_image(tmp_path / "a.png", 1)[..., 0].tolist() == [[76, 150, 29, 255]]


def test_alpha_is_dropped_unless_four_channels_are_asked_for(tmp_path, save):
    pixels = save(tmp_path / "a.png", noise(5, 7, 4))
    assert np.array_equal(read_image(tmp_path / "a.png", 3), pixels[..., :3])
    assert np.array_equal(read_image(tmp_path / "a.png", 4), pixels)


def test_a_palette_becomes_colours(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert read_image(tmp_path / "a.png", 3).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_one_bit_images_are_black_and_white(tmp_path, save):
    save(tmp_path / "a.png", np.array([[True, False]]))
    assert read_image(tmp_path / "a.png", 1)[..., 0].tolist() == [[255, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_pages_of_a_tiff_are_channels(tmp_path, dtype):
    pages = [noise(5, 7, dtype=dtype) for _ in range(6)]
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    image = read_image(tmp_path / "a.tif", 6)
    assert image.dtype == dtype
    assert np.array_equal(image, np.stack(pages, axis=2))


def test_no_page_of_a_tiff_is_taken_for_alpha(tmp_path):
    first, *others = (Image.fromarray(noise(5, 7)) for _ in range(4))
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    with pytest.raises(DataError, match=r"has 4 channels, 3 were asked for; set channels: 4"):
        read_image(tmp_path / "a.tif", 3)


def test_pages_of_different_sizes_are_refused(tmp_path):
    Image.fromarray(noise(5, 7)).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(noise(3, 3))])
    with pytest.raises(DataError, match=r"a\.tif: its 2 pages differ in size"):
        read_image(tmp_path / "a.tif", 2)


def test_channels_that_pillow_would_drop_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "a.tif").write_bytes(raw_tiff(noise(6, 5, 5)))
    with pytest.raises(DataError, match=r"5 channels in one page, of which Pillow reads 3; save them as a multi-page"):
        read_image(tmp_path / "a.tif", 5)


def test_floating_point_pixels_are_refused(tmp_path, save):
    save(tmp_path / "a.tif", np.zeros((3, 3), dtype=np.float32))
    with pytest.raises(
        DataError, match=r"a\.tif: float32 pixels from 0 to 0; allowed are whole numbers of 8 or 16 bits"
    ):
        read_image(tmp_path / "a.tif", 1)


def test_an_animation_is_refused(tmp_path):
    first, second = (Image.fromarray(noise(5, 7, 3)) for _ in range(2))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(DataError, match=r"a\.png: an animation of 2 pictures"):
        read_image(tmp_path / "a.png", 3)


def test_the_first_picture_of_a_camera_s_mpo_counts_and_it_is_noted(tmp_path):
    first, second = (Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (200, 20))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    with noting() as notes:
        assert read_image(tmp_path / "a.jpg", 3).min() > 150
    assert [(note.format, note.remark[:21]) for note in notes] == [("MPO", "the first of several ")]


@pytest.mark.parametrize("kept", [10, 60, 0.5, 0.95])
@pytest.mark.parametrize("extension", ["png", "jpg", "bmp"])
def test_a_truncated_file_is_named(tmp_path, save, extension, kept):
    path = tmp_path / f"a.{extension}"
    save(path, noise(40, 40, 3))
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(DataError, match=rf"a\.{extension}: cannot be read as an image"):
        read_image(path, 3)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
        read_image(tmp_path / "a.png", 3)


def test_large_images_are_taken_in_bands_without_a_difference(tmp_path, monkeypatch):
    for name, pixels in (("grey", noise(40, 30)), ("rgb", noise(40, 30, 3)), ("deep", noise(40, 30, dtype=np.uint16))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(noise(40, 30)).convert("P").save(tmp_path / "palette.png")
    (tmp_path / "deep_rgb.png").write_bytes(raw_png(noise(40, 30, 3, dtype=np.uint16)))
    names = ("grey", "rgb", "deep", "palette", "deep_rgb")
    at_once = {
        (name, channels): read_image(tmp_path / f"{name}.png", channels) for name in names for channels in (1, 3)
    }
    monkeypatch.setattr("segbench.images.pixels.BAND_PIXELS", 100)
    for (name, channels), pixels in at_once.items():
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png", channels), pixels)


def test_12_bits_in_16_are_stretched_to_the_whole_range_where_asked(tmp_path):
    Image.fromarray(np.array([[0, 1, 2048, 4095]], dtype=np.uint16)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 1, Reading(bits=12))
    assert image[0, :, 0].tolist() == [0, 16, 32776, 65535]  # 65535 / 4095 times as much, rounded


def test_more_bits_than_were_said_and_8_bit_images_are_refused(tmp_path):
    Image.fromarray(np.array([[4096]], dtype=np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[7]], dtype=np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"a\.png: 16-bit pixels up to 4096; with bits: 12 .* from 0 to 4095"):
        read_image(tmp_path / "a.png", 1, Reading(bits=12))
    with pytest.raises(DataError, match=r"b\.png: 8-bit pixels"):
        read_image(tmp_path / "b.png", 1, Reading(bits=12))


@pytest.mark.parametrize(
    ("pixels", "channels", "remark"),
    [
        (np.full((2, 2, 4), 7, np.uint8), 3, "the alpha channel is not opaque"),
        (np.full((2, 2, 4), 255, np.uint8), 3, ""),
        (np.full((2, 2, 4), 7, np.uint8), 4, ""),
    ],
)
def test_what_an_image_holds_and_what_is_left_out_is_noted(tmp_path, pixels, channels, remark):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with noting() as notes:
        read_image(tmp_path / "a.png", channels)
    [one] = notes
    assert (one.kind, one.format, one.depth) == ("image", "PNG", "8-bit RGBA")
    assert one.remark[:31] == remark
