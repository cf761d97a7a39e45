"""Links that give images and folders of splits the places and names by which `data/folder` reads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from segbench.errors import DataError, list_some

from .layout import SPLIT, split_pattern

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout


def link(place: Path, target: Path) -> None:
    """Make a link to a file or folder, such that both can be moved together; DataError where none can be made."""
    try:
        place.symlink_to(os.path.relpath(target, place.parent), target.is_dir())
    except OSError as error:
        raise DataError(
            f"{place}: a link to {target} cannot be made ({error.strerror or error}); move or rename {target.name}"
        ) from error


def link_splits(root: Path, layout: Layout) -> list[str]:
    """Make links in small letters beside folders of splits in capitals, and return what is to be said of it."""
    linked = []
    for pattern in dict.fromkeys(one for one in (layout.images, layout.masks) if SPLIT in one):
        above, named, _ = pattern.partition(next(part for part in pattern.split("/") if SPLIT in part))
        for folder in sorted(path for path in (root / above).iterdir() if path.is_dir()):
            found, split = split_pattern(folder.name)
            if found != named or (place := folder.with_name(named.replace(SPLIT, split.lower()))).exists():
                continue
            link(place, folder)
            linked.append(f"{above}{folder.name}/ as {place.name}/")
    return [f"linked {list_some(linked)}, since splits are read in small letters"] if linked else []
