"""Large TIFF files decoded tile by tile, or strip by strip, on to a disk (tifffile, the extra `large`)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from .on_disk import array_on_disk
from .opening import LOSSLESS_TIFF, orientation
from .pixels import PHOTOMETRIC, SAMPLE_FORMAT, is_large, require_every_sample, stored_bits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

# Grey, of which 0 is black, and colours.
_PLAIN = (1, 2)


def is_read_by_tile(image: ImageFile) -> bool:
    """Whether the open file is a large TIFF of plain samples, and tifffile is there to decode it."""
    if image.format != "TIFF" or not is_large(image.height, image.width) or getattr(image, "n_frames", 1) > 1:
        return False
    tags: Any = getattr(image, "tag_v2", {})
    plain = tags.get(PHOTOMETRIC) in _PLAIN and set(np.atleast_1d(tags.get(SAMPLE_FORMAT, 1))) == {1}
    return (
        plain
        and stored_bits(image) in (8, 16)
        and image.info.get("compression") in LOSSLESS_TIFF  # what decodes to the same samples whoever does it
        and orientation(image) == 1
        and find_spec("tifffile") is not None
        and find_spec("imagecodecs") is not None
    )


def read_by_tile(image: ImageFile, path: Path) -> NDArray[Any]:
    """Return the samples of such a file, (H, W, C), as an array on a disk; DataError for what no TIFF may be here."""
    import tifffile

    require_every_sample(image, path)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        pixels = array_on_disk(page.shape, np.dtype(page.dtype).newbyteorder("="))
        page.asarray(out=pixels, maxworkers=1)
        pixels = pixels.reshape(page.shape)  # which asarray changes
    if page.axes == "SYX":
        return np.moveaxis(pixels, 0, 2)
    return pixels.reshape(*pixels.shape[:2], -1)
