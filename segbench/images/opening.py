"""Open an image file: by its content, not its ending, within a limit of pixels, with its orientation known."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from segbench.errors import DataError, SegbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    Samples = Callable[[ImageFile, Path, "Reading"], NDArray[Any]]

# Formats whose pixels Pillow decodes as they are stored. Others (PDF, PostScript, ...) would be drawn.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "GIF", "WEBP")
# What Pillow calls the compressions of a TIFF that change no pixel.
LOSSLESS_TIFF = frozenset(
    {
        *("raw", "tiff_ccitt", "group3", "group4", "tiff_lzw", "tiff_adobe_deflate", "tiff_raw_16", "packbits"),
        *("tiff_thunderscan", "tiff_deflate", "lzma", "zstd"),
    }
)
MAX_PIXELS = 180_000_000
ORIENTATION = 274  # the tag of Exif and TIFF
_SHOWN = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "upside down",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees",
    7: "mirrored and turned by 90 degrees",
    8: "turned by 90 degrees",
}

# The limit of `Reading` counts, which can be raised; Pillow's cannot for one file.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Reading:
    """How files are read where there is a choice.

    - `orientation`: files with an orientation tag are refused, turned as viewers show them (`apply`), or read as they
      are stored.
    - `bits`: how many bits of 16-bit images hold data, 9 to 16; they are scaled to the whole range.
    - `max_pixels`: the largest width times height.
    """

    orientation: Literal["refuse", "apply", "stored"] = "refuse"
    bits: int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.bits is not None and not 9 <= self.bits <= 16:
            raise DataError(f"bits: {self.bits}; it is how many bits of 16-bit images hold data, from 9 to 16")
        if self.max_pixels < 1:
            raise DataError(f"max_pixels: {self.max_pixels}; it is the largest width times height, 1 or more")


USUAL = Reading()


@contextmanager
def opened(path: Path, reading: Reading) -> Iterator[ImageFile]:
    """Open an image file, not decoded yet; whatever fails while it is open becomes a DataError that names the file."""
    try:
        # given a path, Pillow maps plain pixels into memory, and forgets that a TIFF may be stored on its side
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            check_pixels(image.height, image.width, path, reading)
            yield image
    except (SegbenchError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: cannot be read as an image: {_describe_content(path)}; replace the file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image ({error.strerror or error}); replace the file") from error
    except Exception as error:  # each format fails in its own way on a damaged file
        raise DataError(f"{path}: cannot be read as an image ({error}); replace the file") from error


class Header(NamedTuple):
    """What the header of an image file says: width and height as stored, orientation tag (1: none), pages."""

    width: int
    height: int
    orientation: int
    pages: int

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as the orientation tag shows the image."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(path: Path) -> Header:
    """Return what the header of an image file says, without decoding pixels; DataError if it cannot be read."""
    with opened(path, USUAL) as image:
        pages = int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1
        return Header(image.width, image.height, orientation(image), pages)


def pixel_count(path: Path) -> int:
    """Return width times height of an image file by its header; 0 where it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # reading the file says what is wrong with it
        return 0


def check_pixels(height: int, width: int, path: Path, reading: Reading) -> None:
    """Raise DataError for an image of more pixels than `reading` allows."""
    pixels = width * height
    if pixels > reading.max_pixels:
        raise DataError(
            f"{path}: {width} x {height} = {pixels} pixels, more than the limit of {reading.max_pixels}; "
            f"if the file is meant to be so large, set max_pixels: {pixels}"
        )


def _describe_content(path: Path) -> str:
    """Say what a file holds that is none of the formats."""
    with open(path, "rb") as file:
        start = file.read(40)
    if not start:
        return "it is empty"
    if start.isascii() and start.decode("ascii").replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable():
        return f"it is text that begins with {start[:20].decode('ascii')!r}"
    return f"it is none of {', '.join(name for name in FORMATS if name != 'DIB')}, or damaged"


def orientation(image: Image.Image) -> int:
    """Return the orientation tag of an open file, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged block of tags turns nothing
        return 1
    return int(found) if found in _SHOWN else 1


def describe_orientation(path: Path) -> str:
    """Say what the orientation tag of a file is, for a message; an empty text where there is none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            tag = orientation(image)
    except Exception:  # reading the file says what is wrong with it
        return ""
    return f"its orientation tag ({tag}) says that it is shown {_SHOWN[tag]}" if tag in _SHOWN else ""


def read_page(samples: Samples, image: ImageFile, path: Path, reading: Reading) -> NDArray[Any]:
    """Return what `samples` reads of the current page, (H, W, ...), turned as `reading` wants it.

    Raises DataError where the page has an orientation tag and `reading` does not say what it means.
    """
    turned_already = image.format == "TIFF"  # by Pillow while it decodes, when it also forgets the tag
    tag = orientation(image) if turned_already else 1
    pixels = samples(image, path, reading)
    tag = tag if turned_already else orientation(image)
    if tag == 1:
        return pixels
    if reading.orientation == "refuse":
        raise DataError(
            f"{path}: its orientation tag ({tag}) says that it is shown {_SHOWN[tag]}; set orientation: apply if masks "
            "fit the picture as it is shown, or orientation: stored if they fit it as it is stored"
        )
    if turned_already == (reading.orientation == "apply"):
        return pixels
    return _turned(pixels, {6: 8, 8: 6}.get(tag, tag) if turned_already else tag)


def _turned(pixels: NDArray[Any], tag: int) -> NDArray[Any]:
    """Return stored pixels as a tag says that they are shown."""
    if tag >= 5:
        pixels = pixels.swapaxes(0, 1)
    if tag in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if tag in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
