"""Which files of a folder are images or masks, and which other systems left there."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZARR_METADATA = ("zarr.json", ".zarray", ".zgroup")  # of version 3, and of arrays and groups of version 2
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
# JPEG blurs class ids, so a mask stored as one is refused.
MASK_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
# What macOS, Windows and network drives put beside files and folders; names with a leading dot are theirs too.
LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"})
# The mark of a download on Windows: "x.png:Zone.Identifier", and what becomes of the colon elsewhere.
MARK_OF_DOWNLOAD = "zone.identifier"


def is_litter(path: Path) -> bool:
    """Whether another system left this file or folder, and not a person."""
    name = path.name.lower()
    return name.startswith(".") or name in LITTER or name.endswith(MARK_OF_DOWNLOAD)


def is_zarr(path: Path) -> bool:
    """Whether a folder is an array of zarr, or a group of some."""
    return any(os.path.isfile(path / name) for name in ZARR_METADATA)  # False too where it may not be looked into


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, sorted, without litter; folders are passed over.

    Raises DataError for a link without a target and for what is neither file nor folder.
    """
    for path in sorted(folder.iterdir()):
        if is_litter(path) or path.is_dir():
            continue
        if path.is_symlink() and not path.exists():
            raise DataError(
                f"{path} is a link to {path.readlink()}, which is not there; restore the file or remove the link"
            )
        if not path.is_file():
            raise DataError(f"{path} is neither a file nor a folder; remove it")
        yield path


def image_files(folder: Path, endings: tuple[str, ...] = IMAGE_ENDINGS, *, deep: bool = False) -> list[Path]:
    """Return the files of a folder that end like images in small or capital letters; `deep` looks into its folders too.

    Raises DataError as `files_in` does.
    """
    found = [path for path in files_in(folder) if path.suffix.lower() in endings]
    if deep:
        folders = (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.is_symlink())
        found += [path for inner in folders if not is_litter(inner) for path in image_files(inner, endings, deep=True)]
    return found


def same_name(text: str) -> str:
    """Return a name in one form, however its accents are stored: macOS decomposes them."""
    return unicodedata.normalize("NFC", text)
