"""The samples of an open image file with all their bits.

Pillow keeps one byte of 16-bit colours and stretches grey of 2 and 4 bits to 8; here both are as stored.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataError

from .opening import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image
    from PIL.ImageFile import ImageFile

    from .opening import Reading

    Convert = Callable[[Image.Image], Image.Image]

# Large images are taken out of Pillow in bands of so many pixels, so that no step holds a second copy.
BAND_PIXELS = 4_000_000

BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLES_PER_PIXEL, PLANES, SAMPLE_FORMAT = 258, 262, 277, 284, 339
_NAMES = {"1": "black and white", "L": "grey", "P": "palette", "LA": "grey and alpha", "PA": "palette and alpha"}


# Images of more pixels than this, 16 million, are large: see `is_large`.
LARGE_PIXELS = 4096**2


def is_large(height: int, width: int) -> bool:
    """Whether an image is decoded, evaluated and counted some rows at a time where that can be."""
    return height * width > LARGE_PIXELS


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of an image in bands of about BAND_PIXELS."""
    rows = max(1, BAND_PIXELS // max(1, width))
    yield from (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def as_array(image: Image.Image, convert: Convert | None = None) -> NDArray[Any]:
    """Return an image, or what `convert` makes of it, as an array (H, W) or (H, W, C)."""
    image.load()
    array: NDArray[Any] | None = None
    for rows in row_bands(image.height, image.width):
        whole = rows == slice(0, image.height)
        band = image if whole else image.crop((0, rows.start, image.width, rows.stop))
        part = np.asarray(convert(band) if convert else band)
        if array is None:
            array = np.empty((image.height, *part.shape[1:]), part.dtype)
        array[rows] = part
    assert array is not None, "no format stores images without rows"
    return array


def stored_samples(image: ImageFile, path: Path, reading: Reading) -> NDArray[Any]:
    """Return the current page as (H, W) or (H, W, C) of whole numbers: grey values, palette indices or colours.

    Black and white are 0 and 1. Raises DataError where Pillow would change or drop something.
    """
    require_every_sample(image, path)
    bits = stored_bits(image)  # Pillow forgets it when it decodes
    if _has_sixteen_bit_colours(image):
        return _sixteen_bit_colours(image, path, reading)
    pixels = as_array(image)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if image.mode == "L" and bits < 8:
        return pixels // np.uint8(255 // (2**bits - 1))
    return pixels


def shown_samples(image: ImageFile, path: Path, reading: Reading) -> NDArray[Any]:
    """Return the current page as (H, W) or (H, W, C), uint8 or uint16, as it is shown.

    Palettes become colours, and grey of less than 8 bits goes from 0 to 255. Raises DataError as `stored_samples`.
    """
    require_every_sample(image, path)
    if image.mode in ("P", "PA"):
        # By way of RGBA, or Pillow warns of transparent palettes.
        return as_array(image, lambda band: band.convert("RGBA").convert("RGB"))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV") and not _has_sixteen_bit_colours(image):
        return as_array(image, lambda band: band.convert("RGB"))
    if image.mode == "1":
        return as_array(image, lambda band: band.convert("L"))
    if _has_sixteen_bit_colours(image):
        return _sixteen_bit_colours(image, path, reading)
    return narrowed(as_array(image), path)


def _has_sixteen_bit_colours(image: ImageFile) -> bool:
    return stored_bits(image) == 16 and len(image.getbands()) > 1


def narrowed(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return samples as uint8 or uint16; DataError for fractions and for numbers that need more bits."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise DataError(
            f"{path}: {pixels.dtype} pixels from {pixels.min():g} to {pixels.max():g}; allowed are whole numbers of 8 "
            "or 16 bits: convert the file"
        )
    return pixels.astype(np.uint16, copy=False)


def stored_bits(image: ImageFile) -> int:
    """Return how many bits each sample of the current page has in the file."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        return int(max(np.atleast_1d(tags.get(BITS_PER_SAMPLE, 1))))
    if found := re.search(r";(\d+)", _rawmode(image)):
        return int(found[1]) if not is_packed_colour(image) else 5
    return {"1": 1, "I": 32, "F": 32, "I;16": 16}.get(image.mode, 8)


def is_packed_colour(image: ImageFile) -> bool:
    """Whether three colours share 15 or 16 bits, which a BMP may do; Pillow stretches them to 8 bits each."""
    return _rawmode(image).startswith("BGR;1")


def describe_depth(image: ImageFile) -> str:
    """Return what a page holds, such as "4-bit grey"."""
    kind = "grey" if image.mode.startswith(("I", "F")) else _NAMES.get(image.mode, image.mode)
    if image.format == "PNG" and _rawmode(image) == "LA;16B":
        kind = _NAMES["LA"]
    return f"{stored_bits(image)}-bit {kind}"


def shows_0_as_white(image: ImageFile) -> bool:
    """Whether a TIFF of more than 1 bit counts from white; Pillow inverts some of them."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(PHOTOMETRIC) == 0 and stored_bits(image) > 1


def require_every_sample(image: ImageFile, path: Path) -> None:
    """Refuse a TIFF of which Pillow would silently drop or misread samples."""
    tags = getattr(image, "tag_v2", {})
    stored, bands = tags.get(SAMPLES_PER_PIXEL, 1), len(image.getbands())
    if stored > bands:
        raise DataError(
            f"{path}: {stored} channels in one page, of which Pillow reads {bands}; "
            "save them as a multi-page TIFF, a grey page for each channel"
        )
    if image.mode in ("La", "RGBa") or _rawmode(image).startswith(("La", "RGBa")):
        raise DataError(f"{path}: its colours are multiplied by alpha already; save it without alpha")
    if shows_0_as_white(image) and stored_bits(image) > 8:
        raise DataError(f"{path}: a {stored_bits(image)}-bit TIFF in which 0 is white; save it with 0 as black")
    if 2 in np.atleast_1d(tags.get(SAMPLE_FORMAT, 1)) and stored_bits(image) == 8:
        raise DataError(f"{path}: 8-bit numbers with a sign; save it as 8 or 16 bits without")


def _sixteen_bit_colours(image: ImageFile, path: Path, reading: Reading) -> NDArray[Any]:
    """Return (H, W, C) uint16; Pillow keeps one byte of each sample, so the file is decoded once for each byte."""
    rawmode, page = _rawmode(image), image.tell()
    if rawmode == "LA;16B":
        # Four bytes a pixel, as RGBA has: grey and alpha, the high byte first.
        return _decoded_as(path, page, "RGBA", reading).view(">u2").astype(np.uint16)
    if image.mode not in ("RGB", "RGBA") or rawmode.partition(";")[0] != image.mode or _has_planes(image):
        raise DataError(f"{path}: 16-bit {rawmode} cannot be read; save it as 16-bit grey, RGB or RGBA")
    first = _decoded_as(path, page, f"{image.mode};16B", reading)
    second = _decoded_as(path, page, f"{image.mode};16L", reading)
    # The byte order of the file decides which pass saw the high bytes; "N" is that of this machine (libtiff swaps).
    order = rawmode[-1]
    big = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = (first, second) if big else (second, first)
    pixels = high.astype(np.uint16)
    pixels <<= 8
    pixels |= low
    return pixels


def _has_planes(image: ImageFile) -> bool:
    return bool(getattr(image, "tag_v2", {}).get(PLANES, 1) == 2)


def _decoded_as(path: Path, page: int, rawmode: str, reading: Reading) -> NDArray[Any]:
    """Return a page, its bytes unpacked in another way: "RGB;16B" takes the first byte of a sample, "16L" the other."""
    with opened(path, reading) as image:
        image.seek(page)
        image.tile = [
            tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
            for tile in image.tile
        ]
        return as_array(image)


def _rawmode(image: ImageFile) -> str:
    """Return how Pillow unpacks the file's samples, such as "RGB;16B"; empty where the format does not say."""
    arguments = image.tile[0].args if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""
