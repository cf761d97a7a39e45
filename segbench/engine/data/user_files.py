"""Find, read and check files that users give: images to predict on, and label maps made by other tools.

An image is read as the array that a dataset would give. A label map is a PNG whose pixel values are class ids.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageSequence

from segbench.errors import DataError, list_some

from .augment import LUMA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


LABEL_SUFFIX = ".png"
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_GREYS = {"L", "LA", "I;16", "I;16B", "I;16L", "I"}


def find_images(given: Sequence[Path]) -> list[Path]:
    """Return the image files that are given or lie in the folders that are given, folders sorted by name.

    Raises DataError for a path that does not exist and for a folder without images.
    """
    return [path for one in given for path in (_images_in(one) if one.is_dir() else [_existing(one)])]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"there is no image {path}; give an image file or a folder of images")
    return path


def _images_in(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"there is no image in {folder}; images end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return found


def read_image(path: Path, channels: int) -> NDArray[Any]:
    """Return an image file as (channels, H, W), uint8 or uint16.

    One channel is repeated for three, three become luma for one, alpha is dropped where one or three channels are asked
    for; a multi-page TIFF gives its pages as channels. 16-bit colours are read with 8 bits, as Pillow does. Raises
    DataError for a file that cannot be read or has another number of channels.
    """
    try:
        with Image.open(path) as file:
            frames = ImageSequence.Iterator(file) if file.format == "TIFF" else [file]
            pages = [_read_page(frame) for frame in frames]
            pixels = np.concatenate(pages, axis=2)
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as an image ({error})") from error
    return np.ascontiguousarray(_convert_channels(pixels, channels, path).transpose(2, 0, 1))


def _read_page(image: Image.Image) -> NDArray[Any]:
    """Return the current page as (H, W, C)."""
    if image.mode not in _GREYS | {"RGB", "RGBA"}:
        # By way of RGBA, or Pillow warns of transparent palettes.
        image = image.convert("L") if image.mode == "1" else image.convert("RGBA").convert("RGB")
    pixels = np.atleast_3d(np.asarray(image))
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise ValueError(f"its pixels go from {pixels.min()} to {pixels.max()}; allowed are values of 8 or 16 bits")
    return pixels.astype(np.uint16)


def _convert_channels(pixels: NDArray[Any], channels: int, path: Path) -> NDArray[Any]:
    if channels in (1, 3) and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    held = pixels.shape[2]
    if held == channels:
        return pixels
    if (held, channels) == (1, 3):
        return np.repeat(pixels, 3, axis=2)
    if (held, channels) == (3, 1):
        grey: NDArray[Any] = np.rint(pixels @ np.array(LUMA)).astype(pixels.dtype)
        return grey[..., None]
    raise DataError(f"{path}: has {held} channels; the network was trained on images of {channels}")


def find_label_maps(folder: Path, ids: Sequence[str]) -> list[Path]:
    """Return the label map of each id: the PNG whose path in the folder, without its ending, is the id.

    Raises DataError that names the ids without a label map and the label maps without an id.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} of label maps")
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob(f"*{LABEL_SUFFIX}")}
    missing = [name for name in ids if name not in found]
    extra = sorted(found.keys() - set(ids))
    if missing or extra:
        complaints = [
            *([f"{len(missing)} of {len(ids)} images have none ({list_some(missing)})"] if missing else []),
            *([f"{len(extra)} belong to no image of the split ({list_some(extra)})"] if extra else []),
        ]
        raise DataError(
            f"the label maps in {folder} do not match the split: {'; '.join(complaints)}. "
            f"Each image needs one PNG named by its id, such as {ids[0]}{LABEL_SUFFIX}"
        )
    return [found[name] for name in ids]


def read_label_map(path: Path, truth: NDArray[Any], num_classes: int, ignore_index: int) -> NDArray[np.int64]:
    """Return the class ids (H, W) of a grey or palette PNG of 8 or 16 bits.

    `ignore_index` is allowed only where `truth` has it too: a labelled pixel needs a class. Raises DataError for a
    file that cannot be read, colours, a size other than that of `truth`, and values that are no class.
    """
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as a label map ({error})") from error
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise DataError(f"{path}: a label map holds one class id a pixel, as grey values or a palette, not colours")
    if labels.shape != truth.shape:
        raise DataError(
            f"{path}: it is {_size(labels)} pixels, its image is {_size(truth)}; label maps are never resized"
        )
    labels = labels.astype(np.int64)
    _check_values(labels, truth, num_classes, ignore_index, path)
    return labels


def _check_values(
    labels: NDArray[np.int64], truth: NDArray[Any], num_classes: int, ignore_index: int, path: Path
) -> None:
    wrong = (labels < 0) | (labels >= num_classes)
    left_out = labels == ignore_index
    values = np.unique(labels[wrong & ~left_out]).tolist()
    allowed = f"allowed are the class ids 0 to {num_classes - 1}"
    if values:
        raise DataError(f"{path}: it holds {list_some([str(value) for value in values])}; {allowed}")
    unanswered = int((wrong & left_out & (truth != ignore_index)).sum())
    if unanswered:
        raise DataError(
            f"{path}: {unanswered} labelled pixels are predicted as {ignore_index}, which is no class; {allowed}, "
            f"and {ignore_index} only where the truth is ignored"
        )


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
