"""Image files as arrays of the channels that were asked for."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from segbench.errors import DataError

from .notes import ALPHA_DROPPED, FIRST_PICTURE, MAP_IGNORED, FileNote, note
from .opening import USUAL, opened, read_page
from .pixels import describe_depth, is_large, row_bands, shown_samples
from .tiles import is_read_by_tile, read_by_tile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from .opening import Reading

# Rec. 601 luma in thousandths, as for every grey version of a colour image.
LUMA = (299, 587, 114)
# Scale and place on the earth, the map's projection, and the value of pixels without data.
GEOTIFF_TAGS = (33550, 33922, 34264, 34735, 42113)
# Files of more channels than this are rather stacks of slices.
MOST_BANDS = 16
_SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}


def read_image(path: Path, channels: int, reading: Reading = USUAL) -> NDArray[Any]:
    """Return an image file as (H, W, channels), uint8 or uint16 as it is stored.

    A multi-page TIFF gives its pages as channels. One channel is repeated for three; three become luma for one; an
    alpha channel is left out, with a note, where one or three channels are asked for; palettes become colours, and grey
    of less than 8 bits goes from 0 to 255. Raises DataError for a file that cannot be read, has another number of
    channels, is animated, or holds numbers that are neither 8 nor 16 bits wide, and where `reading` refuses it.
    """
    pixels, noted = _read_pages(path, channels, reading)
    if noted.pages == 1 and channels in (1, 3) and pixels.shape[2] in (2, 4):
        transparent = bool((pixels[..., -1] != np.iinfo(pixels.dtype).max).any())
        noted = noted._replace(remark=ALPHA_DROPPED if transparent else noted.remark)
        pixels = pixels[..., :-1]
    depth = noted.depth if noted.pages == 1 else f"{noted.depth}, {noted.pages} pages"
    note(FileNote("image", noted.format, depth, noted.remark))
    pixels = _with_channels(pixels, channels, path)
    pixels = pixels if reading.bits is None else stretched(pixels, reading.bits, path)
    return pixels if is_large(*pixels.shape[:2]) else np.ascontiguousarray(pixels)


class _Noted(NamedTuple):
    """What was seen of a file while it was read."""

    format: str
    depth: str
    pages: int
    remark: str


def _read_pages(path: Path, channels: int, reading: Reading) -> tuple[NDArray[Any], _Noted]:
    """Return all pages of a file side by side, (H, W, C)."""
    with opened(path, reading) as image:
        count = _count_pages(image, path, channels)
        noted = _Noted(describe_format(image, path), describe_depth(image), count, _remark(image))
        if is_read_by_tile(image):
            return read_by_tile(image, path), noted
        pages = []
        for page in range(count):
            image.seek(page)
            pages.append(np.atleast_3d(read_page(shown_samples, image, path, reading)))
    if len({page.shape[:2] for page in pages}) > 1:
        raise DataError(f"{path}: its {len(pages)} pages differ in size; save pages of one size, a channel each")
    return np.concatenate(pages, axis=2) if len(pages) > 1 else pages[0], noted


def _remark(image: ImageFile) -> str:
    if image.format == "MPO":
        return FIRST_PICTURE
    if "transparency" in image.info:
        return ALPHA_DROPPED
    return MAP_IGNORED if any(tag in getattr(image, "tag_v2", {}) for tag in GEOTIFF_TAGS) else ""


def describe_format(image: ImageFile, path: Path) -> str:
    """Return the format of the content, and the ending where that says another one."""
    ending = PurePath(path).suffix.lower()
    named, held = Image.registered_extensions().get(ending), str(image.format)
    return held if _SAME_FORMAT.get(held, held) in (named, None) or named is None else f"{held} named {ending}"


def count_frames(image: ImageFile) -> int:
    """Return the number of pages of a TIFF, or of pictures of an animation; an MPO counts by its first picture."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _count_pages(image: ImageFile, path: Path, channels: int) -> int:
    count = count_frames(image)
    if count > 1 and image.format != "TIFF":
        raise DataError(f"{path}: an animation of {count} pictures; save one of them as a file of its own")
    if count > channels:
        raise DataError(_channels_message(path, count, channels))
    return count


def _with_channels(pixels: NDArray[Any], channels: int, path: Path) -> NDArray[Any]:
    held = pixels.shape[2]
    if held == channels:
        return pixels
    if channels == 3 and held == 1:
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    if channels == 1 and held == 3:
        return _luma(pixels)
    raise DataError(_channels_message(path, held, channels))


def _channels_message(path: Path, held: int, channels: int) -> str:
    pages = "; a 3-D volume cannot be segmented, save each of its slices as an image" if held > MOST_BANDS else ""
    return f"{path}: the image has {held} channels, {channels} were asked for; set channels: {held}{pages}"


def _luma(pixels: NDArray[Any]) -> NDArray[Any]:
    grey = np.empty((*pixels.shape[:2], 1), pixels.dtype)
    for rows in row_bands(*pixels.shape[:2]):
        weighted = pixels[rows].astype(np.uint32) @ np.array(LUMA, dtype=np.uint32)
        grey[rows, :, 0] = (weighted + 500) // 1000
    return grey


def stretched(pixels: NDArray[Any], bits: int, path: Path) -> NDArray[Any]:
    """Return 16-bit samples of which only so many bits hold data, as samples of the whole range."""
    highest = 2**bits - 1
    if pixels.dtype != np.uint16 or pixels.max() > highest:
        raise DataError(
            f"{path}: {pixels.dtype.itemsize * 8}-bit pixels up to {pixels.max()}; with bits: {bits} all images have "
            f"16 bits and values from 0 to {highest}"
        )
    table = np.rint(np.arange(highest + 1) * (0xFFFF / highest)).astype(np.uint16)
    stretched = np.empty_like(pixels)
    for rows in row_bands(*pixels.shape[:2]):
        stretched[rows] = table[pixels[rows]]
    return stretched
