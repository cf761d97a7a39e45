from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from segbench.engine.prediction.arrays import open_zarr
from segbench.errors import DataError
from segbench.images import Reading

zarr = pytest.importorskip("zarr", reason="needs the extra large")

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
ROWS, COLUMNS = slice(7, 31), slice(20, 45)


def save(path, pixels, **options):
    chunks = tuple(min(length, 16) for length in pixels.shape)
    zarr.create_array(path, shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, **options)[:] = pixels
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("first", [False, True])
def test_a_part_of_an_array_of_either_order_and_version_is_that_of_the_image(tmp_path, version, first):
    path = save(tmp_path / "a.zarr", PIXELS.transpose(2, 0, 1) if first else PIXELS, zarr_format=version)
    image = open_zarr(path, 3, Reading())
    assert (image.size, image.white) == ((40, 50), 255)
    np.testing.assert_array_equal(image.read(ROWS, COLUMNS), PIXELS[ROWS, COLUMNS].transpose(2, 0, 1))


def test_the_order_of_bytes_is_that_of_the_machine(tmp_path):
    image = open_zarr(save(tmp_path / "a.zarr", PIXELS.astype(">u2"), zarr_format=2), 3, Reading())
    part = image.read(ROWS, COLUMNS)
    assert part.dtype == np.uint16
    np.testing.assert_array_equal(part, PIXELS[ROWS, COLUMNS].transpose(2, 0, 1))


def test_an_array_without_channels_is_grey(tmp_path):
    image = open_zarr(save(tmp_path / "a.zarr", PIXELS[..., 0]), 1, Reading())
    np.testing.assert_array_equal(image.read(ROWS, COLUMNS), PIXELS[None, ROWS, COLUMNS, 0])


def test_of_16_bits_those_that_hold_data_become_the_whole_range(tmp_path):
    image = open_zarr(save(tmp_path / "a.zarr", PIXELS.astype(np.uint16) * 16 + 15), 3, Reading(bits=12))
    assert image.white == 65535
    expected = np.rint((PIXELS.astype(np.float64) * 16 + 15) * 65535 / 4095)
    np.testing.assert_array_equal(image.read(ROWS, COLUMNS), expected[ROWS, COLUMNS].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS.astype(np.float32), "float32 pixels; allowed are whole numbers of 8 or 16 bits"),
        (PIXELS[..., :2], r"its shape is \[40, 50, 2\]; an image of 3 channels is \(height, width, 3\) or \(3, height"),
        (PIXELS[:3], r"its shape is \[3, 50, 3\]; .* one of the two"),
        (PIXELS, r"50 x 40 = 2000 pixels, more than the limit of 1999; .* set max_pixels: 2000"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused(tmp_path, pixels, message):
    with pytest.raises(DataError, match=rf"a\.zarr: {message}"):
        open_zarr(save(tmp_path / "a.zarr", pixels), 3, Reading(max_pixels=1999))


def test_of_a_group_an_array_is_asked_for(tmp_path):
    zarr.create_group(tmp_path / "a.zarr")
    save(tmp_path / "a.zarr" / "0", PIXELS)
    with pytest.raises(
        DataError, match=r"a\.zarr: it is no zarr array .*; of a group name one array, such as .*a\.zarr.0"
    ):
        open_zarr(tmp_path / "a.zarr", 3, Reading())
    assert open_zarr(tmp_path / "a.zarr" / "0", 3, Reading()).size == (40, 50)


def test_a_damaged_chunk_is_named_with_its_array(tmp_path):
    path = save(tmp_path / "a.zarr", PIXELS)
    next((path / "c" / "0").rglob("[0-9]")).joinpath("0").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"a\.zarr: it cannot be decoded \(.*\); replace it"):
        open_zarr(path, 3, Reading()).read(slice(None), slice(None))


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("filters", [[{"id": "pickle"}], [{"id": "delta", "dtype": "|u1"}, {"id": "pickle"}]])
def test_a_codec_that_runs_code_is_refused_before_anything_is_decoded(tmp_path, filters):
    path = tmp_path / "a.zarr"
    path.mkdir()
    array = {"zarr_format": 2, "shape": [4, 4, 3], "chunks": [4, 4, 3], "dtype": "|u1", "order": "C", "fill_value": 0}
    (path / ".zarray").write_text(json.dumps({**array, "compressor": None, "filters": filters}))
    (path / "0.0.0").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(DataError, match=r"a\.zarr: it is "):
        open_zarr(path, 3, Reading()).read(slice(None), slice(None))
    assert not (tmp_path / "sprung").exists()
