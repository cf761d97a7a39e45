"""Image files as arrays of the channels that were asked for."""

from __future__ import annotations

import struct
import sys
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageSequence

from segbench import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
SAMPLES_PER_PIXEL = 277  # the TIFF tag
# Rec. 601 luma in thousandths, as for every grey version of a colour image.
LUMA = (299, 587, 114)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; whatever fails while it is open becomes a DataError that names the file."""
    try:
        with Image.open(path) as image:
            yield image
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as an image ({error}); replace the file") from error


def read_image(path: Path, channels: int) -> NDArray[Any]:
    """Return an image file as (H, W, channels), uint8 or uint16 as it is stored.

    A multi-page TIFF gives its pages as channels. One channel is repeated for three; three become luma for one; an
    alpha channel is dropped where one or three channels are asked for; palettes become colours. Pixels are taken as
    stored (an Exif orientation is not applied, as masks carry none). Raises DataError for a file that cannot be read,
    has another number of channels, or holds numbers that are neither 8 nor 16 bits wide.
    """
    with opened(path) as image:
        frames = ImageSequence.Iterator(image) if image.format == "TIFF" else [image]
        pages = [_page(frame, path) for frame in frames]
        has_alpha = len(pages) == 1 and image.mode in ("LA", "RGBA")
    if len({page.shape[:2] for page in pages}) > 1:
        raise DataError(f"{path}: its {len(pages)} pages differ in size; save pages of one size, a channel each")
    pixels = np.concatenate(pages, axis=2) if len(pages) > 1 else pages[0]
    if has_alpha and channels in (1, 3):
        pixels = pixels[..., :-1]
    return np.ascontiguousarray(_with_channels(pixels, channels, path))


def _page(image: Image.Image, path: Path) -> NDArray[Any]:
    """Return the current page as (H, W, C)."""
    if image.mode in ("P", "PA"):
        colours = image.convert("RGBA").convert("RGB")  # by way of RGBA, or Pillow warns of transparent palettes
        return np.asarray(colours)
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return np.asarray(image.convert("RGB"))
    if image.mode == "1":
        return np.asarray(image.convert("L"))[..., None]
    _require_every_sample(image, path)
    pixels = (
        _sixteen_bit_colours(image, path)
        if ";16" in _rawmode(image) and len(image.getbands()) > 1
        else _plain(image, path)
    )
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _plain(image: Image.Image, path: Path) -> NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind in "iu" and pixels.min() >= 0 and pixels.max() <= 0xFFFF:
        return pixels.astype(np.uint16)
    raise DataError(f"{path}: {pixels.dtype} pixels (Pillow mode {image.mode}); convert the image to 8 or 16 bits")


def _sixteen_bit_colours(image: Image.Image, path: Path) -> NDArray[Any]:
    """Return (H, W, C) uint16; Pillow keeps one byte of each sample, so the file is decoded once for each byte."""
    if image.mode not in ("RGB", "RGBA") or _rawmode(image).partition(";")[0] != image.mode:
        raise DataError(f"{path}: 16-bit {_rawmode(image)} cannot be read; save it as 16-bit grey, RGB or RGBA")
    first = _decoded_as(path, image.tell(), "16B")
    second = _decoded_as(path, image.tell(), "16L")
    # The byte order of the file decides which pass saw the high bytes; "N" is that of this machine (libtiff swaps).
    order = _rawmode(image)[-1]
    big = order == "B" or (order == "N" and sys.byteorder == "big")
    high, low = (first, second) if big else (second, first)
    return (high.astype(np.uint16) << 8) | low


def _decoded_as(path: Path, page: int, byte_order: str) -> NDArray[Any]:
    """Return the first ("16B") or second ("16L") byte of each 16-bit sample."""
    with opened(path) as image:
        image.seek(page)
        rawmode = f"{image.mode};{byte_order}"
        image.tile = [
            tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
            for tile in image.tile
        ]
        return np.asarray(image)


def _rawmode(image: Image.Image) -> str:
    """Return how Pillow unpacks the file's samples, such as "RGB;16B"; empty where the format does not say."""
    arguments = image.tile[0].args if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _require_every_sample(image: Image.Image, path: Path) -> None:
    """Refuse a TIFF of which Pillow would silently drop channels."""
    stored = getattr(image, "tag_v2", {}).get(SAMPLES_PER_PIXEL, 1)
    bands = len(image.getbands())
    if stored > bands:
        raise DataError(
            f"{path}: {stored} channels in one page, of which Pillow reads {bands}; "
            "save them as a multi-page TIFF, a grey page for each channel"
        )


def _with_channels(pixels: NDArray[Any], channels: int, path: Path) -> NDArray[Any]:
    held = pixels.shape[2]
    if held == channels:
        return pixels
    if channels == 3 and held == 1:
        return np.repeat(pixels, 3, axis=2)
    if channels == 1 and held == 3:
        weighted = pixels.astype(np.uint32) @ np.array(LUMA, dtype=np.uint32)
        return ((weighted + 500) // 1000).astype(pixels.dtype)[..., None]
    raise DataError(f"{path}: the image has {held} channels, {channels} were asked for; set channels: {held}")
