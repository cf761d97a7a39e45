"""Mask files as the numbers or colours that they store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataError

from .images import count_frames, describe_format
from .notes import ALPHA_ALONE, FileNote, note
from .opening import LOSSLESS_TIFF, USUAL, opened, read_page
from .pixels import describe_depth, is_packed_colour, shown_samples, shows_0_as_white, stored_samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from .opening import Reading, Samples


def read_mask(path: Path, reading: Reading = USUAL) -> NDArray[Any]:
    """Return a mask file as whole numbers (H, W), grey values or palette indices, or as colours (H, W, 3).

    They are as they are stored, of any depth; an alpha channel is left out, and noted where it alone differs. Raises
    DataError for a file that cannot be read, was stored with losses, has several pages, or holds fractions.
    """
    return _read_single(path, reading, _stored_numbers)


def read_mask_colours(path: Path, reading: Reading = USUAL) -> NDArray[Any]:
    """Return a mask file as the colours (H, W, 3) that are shown, palettes and grey too; DataError as `read_mask`."""
    pixels = _read_single(path, reading, shown_samples)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def read_mask_pages(path: Path, reading: Reading = USUAL) -> NDArray[Any]:
    """Return the pages of a mask file, (n, H, W), whole numbers as `read_mask` gives; DataError for pages in colour."""
    with opened(path, reading) as image:
        _require_lossless(image, path)
        form, depth = describe_format(image, path), describe_depth(image)
        pages = []
        for page in range(int(getattr(image, "n_frames", 1))):
            image.seek(page)
            pages.append(_whole_numbers(read_page(_stored_numbers, image, path, reading), path))
    if len({page.shape for page in pages}) > 1 or pages[0].ndim != 2:
        raise DataError(
            f"{path}: its {len(pages)} pages differ in size or are in colour; save a grey page for each class"
        )
    note(FileNote("mask", form, f"{depth}, {len(pages)} pages"))
    return np.stack(pages)


def _read_single(path: Path, reading: Reading, samples: Samples) -> NDArray[Any]:
    with opened(path, reading) as image:
        _require_lossless(image, path)
        form, depth, count = describe_format(image, path), describe_depth(image), count_frames(image)
        if count > 1:
            raise DataError(
                f"{path}: the mask has {count} pages; save the one that counts as a file of its own, or, where each "
                "page is a class, set pages: classes"
            )
        pixels = _whole_numbers(read_page(samples, image, path, reading), path)
    remark = ""
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        remark = ALPHA_ALONE if _differs(pixels[..., -1]) and not _differs(pixels[..., :-1]) else ""
        pixels = pixels[..., :-1]
    note(FileNote("mask", form, depth, remark))
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _stored_numbers(image: ImageFile, path: Path, reading: Reading) -> NDArray[Any]:
    if image.format == "GIF":
        raise DataError(f"{path}: a GIF numbers its colours anew, so these are no class ids; save the masks as PNG")
    return stored_samples(image, path, reading)


def _differs(pixels: NDArray[Any]) -> bool:
    return bool((pixels != pixels[:1, :1]).any())


def _whole_numbers(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.dtype.kind not in "iu":
        raise DataError(f"{path}: a mask holds whole numbers, this one {pixels.dtype}; save class ids as grey PNG")
    return pixels


def _require_lossless(image: ImageFile, path: Path) -> None:
    """Refuse what does not hold the numbers that were labelled."""
    compression = image.info.get("compression") if image.format == "TIFF" else None
    if (
        image.format in ("JPEG", "MPO")
        or (image.format == "WEBP" and _is_lossy_webp(path))
        or (compression is not None and compression not in LOSSLESS_TIFF)
    ):
        named = f"TIFF with {compression} compression" if compression else describe_format(image, path)
        raise DataError(f"{path}: a mask stored as {named} has lost its class ids; save the masks as PNG")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV") or is_packed_colour(image):
        raise DataError(f"{path}: a mask in {describe_depth(image)} has no exact class ids; save the masks as PNG")
    if shows_0_as_white(image):
        raise DataError(f"{path}: a mask in which 0 is white; save it with 0 as black")


def _is_lossy_webp(path: Path) -> bool:
    """Whether a WebP file has a chunk of lossy pixels, alone or in an animation."""
    content = path.read_bytes()
    place = 12
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        if name == b"VP8 ":
            return True
        place += 8 + 16 if name == b"ANMF" else 8 + size + size % 2
    return False
