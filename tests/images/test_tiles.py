from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from segbench import DataError
from segbench.images import images, read_image
from segbench.images.notes import noting
from segbench.images.on_disk import array_on_disk

NOISE = np.random.default_rng(0)


@pytest.fixture
def read_by_tile(monkeypatch):
    """Read every TIFF as a large one, and count those that are read by tile."""
    pytest.importorskip("imagecodecs", reason="needs the extra large")
    read = []

    def count(image, path):
        read.append(path)
        return original(image, path)

    original = images.read_by_tile
    monkeypatch.setattr("segbench.images.pixels.LARGE_PIXELS", 10)
    monkeypatch.setattr(images, "read_by_tile", count)
    return read


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(70, 51), (70, 51, 3), (70, 51, 4)])
def test_every_lossless_layout_gives_by_tile_the_pixels_that_were_written(tmp_path, read_by_tile, shape, dtype):
    tifffile = pytest.importorskip("tifffile")
    pixels = NOISE.integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    layouts = product((None, "zlib", "lzw", "packbits", "zstd"), (None, (32, 16)), "<>", (False, True))
    for number, (compression, tile, order, predictor) in enumerate(layouts):
        if predictor and compression in (None, "packbits"):
            continue
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(
            path,
            pixels,
            photometric="rgb" if pixels.ndim == 3 else "minisblack",
            extrasamples=["unassalpha"] if shape[2:] == (4,) else None,
            compression=compression,
            tile=tile,
            byteorder=order,
            predictor=predictor,
        )
        found = read_image(path, 1 if pixels.ndim == 2 else shape[2])
        assert found.dtype == dtype
        assert np.array_equal(found, pixels.reshape(*shape[:2], -1))
        assert read_by_tile.pop() == path


def test_grey_and_alpha_are_of_a_large_tiff_what_they_are_of_a_small_one(tmp_path, read_by_tile):
    Image.fromarray(NOISE.integers(0, 255, (20, 30), dtype=np.uint8)).save(tmp_path / "grey.tif")
    Image.fromarray(NOISE.integers(0, 255, (20, 30, 4), dtype=np.uint8)).save(tmp_path / "alpha.tif")
    grey, alpha = read_image(tmp_path / "grey.tif", 3), read_image(tmp_path / "alpha.tif", 3)
    assert len(read_by_tile) == 2
    with Image.open(tmp_path / "grey.tif") as file:
        assert np.array_equal(grey, np.asarray(file)[..., None].repeat(3, axis=2))
    with Image.open(tmp_path / "alpha.tif") as file:
        assert np.array_equal(alpha, np.asarray(file)[..., :3])


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "L"])
def test_what_is_no_plain_sample_is_read_whole_or_refused_as_ever(tmp_path, read_by_tile, mode):
    pixels = Image.fromarray(np.zeros((20, 30), np.uint8))
    (pixels if mode == "L" else pixels.convert(mode)).save(tmp_path / "a.tif", compression="tiff_lzw")
    read_image(tmp_path / "a.tif", 3)
    assert bool(read_by_tile) == (mode == "L")


def test_a_jpeg_in_a_tiff_is_read_whole_since_decoders_differ(tmp_path, read_by_tile):
    Image.fromarray(NOISE.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.tif", compression="jpeg")
    read_image(tmp_path / "a.tif", 3)
    assert not read_by_tile


def test_a_damaged_tile_is_named_with_its_file(tmp_path, read_by_tile):
    path = tmp_path / "a.tif"
    Image.fromarray(NOISE.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path, compression="tiff_adobe_deflate")
    content = bytearray(path.read_bytes())
    middle = content.index(b"\x78", 8)
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image"):
        read_image(path, 3)


def test_the_tags_of_a_geotiff_are_ignored_with_a_note(tmp_path):
    tags = ImageFileDirectory_v2()
    tags[33550], tags.tagtype[33550] = (0.1, 0.1, 0.0), 12
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "map.tif", tiffinfo=tags)
    with noting() as notes:
        read_image(tmp_path / "map.tif", 3)
    assert [one.remark for one in notes] == ["GeoTIFF tags (place, scale, value without data) are ignored"]


def test_a_stack_of_slices_is_refused_as_a_volume(tmp_path):
    slices = [Image.fromarray(np.full((4, 5), value, np.uint8)) for value in range(20)]
    slices[0].save(tmp_path / "stack.tif", save_all=True, append_images=slices[1:])
    with pytest.raises(DataError, match="a 3-D volume cannot be segmented, save each of its slices as an image"):
        read_image(tmp_path / "stack.tif", 3)


def test_an_array_on_a_disk_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    array = array_on_disk((3, 4), np.uint16)
    array[1] = 7
    assert array.sum() == 28
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_an_array_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(DataError, match=rf"^{tmp_path}: no temporary file of 1000000.0 GB .* set TMPDIR to a folder"):
        array_on_disk((10**15,), np.uint8)
