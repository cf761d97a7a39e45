"""What files of labelling tools draw on images: areas of classes, and the images that the files name."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import DataError
from segbench.images.files import same_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

# What Label Studio puts before the names of files that are uploaded.
_UPLOADED = re.compile(r"[0-9a-f]{8}-")


class Shape(NamedTuple):
    """An area of a class; `draw` gives the pixels (H, W) that it covers, `is_cut` says that it leaves the image."""

    name: str
    area: float
    is_cut: bool
    draw: Callable[[], NDArray[np.bool_]]


class Drawing(NamedTuple):
    """The shapes of an image, and its height and width as the tool showed it."""

    size: tuple[int, int]
    shapes: list[Shape]


def find_image(name: str, file: Path, images: Mapping[str, Sequence[Path]]) -> Path:
    """Return the image that a file of shapes names, by its path as far as it is needed.

    `images` are all that there are, by their names. Raises DataError where none or several can be meant.
    """
    written = PurePosixPath(same_name(name.replace("\\", "/")))
    found = images.get(written.name) or images.get(_UPLOADED.sub("", written.name, count=1), ())
    exact = [path for path in found if path == file.parent / written]
    beside = [path for path in found if path.parent == file.parent]
    by_path = [path for path in found if path.as_posix().endswith(f"/{written}")]
    found = found if len(found) == 1 else exact or by_path or beside
    if len(found) != 1:
        held = "is not there" if not found else f"there are {len(found)} of"
        raise DataError(f"{file}: names the image {name!r}, which {held}; put the images beside the file as exported")
    return found[0]
