"""How the pictures that a cell leaves are named, and read again."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


SAMPLES = "samples"  # the folder of pictures in a cell's own

# Grids of generated images: after training, and beside what is nearest to them in the train split.
LAST_GRID, NEAREST_GRID = "last.png", "nearest.png"
_STEP_GRID = re.compile(r"step-([0-9]+)\.png")

# Bytes of a picture's name before its ending; with the longest ending it fits any file system, encrypted ones too.
NAME_BYTES = 120


def picture_path(folder: Path, sample_id: str, kind: str = "") -> Path:
    """Return the path of a picture of a sample; `kind` is "" for its label map, or such as ".truth"."""
    return folder / f"{file_name(sample_id)}{kind}.png"


def find_picture(cell_folders: Sequence[Path], sample_id: str, kind: str = "") -> Path:
    """Return the path of a picture of a sample in the one of some cells' folders that has it, else in the first."""
    paths = [picture_path(folder / SAMPLES, sample_id, kind) for folder in cell_folders]
    return next((path for path in paths if path.is_file()), paths[0])


def read_kept_labels(path: Path) -> NDArray[Any]:
    """Read a label map that a cell left, (H, W); DataError if it cannot be read or is no file of the cell's own."""
    from segbench.images import read_mask

    _check_is_own(path)
    return read_mask(path)


def read_kept_picture(path: Path) -> NDArray[Any]:
    """Read a picture that a cell left, (H, W, 3); DataError as `read_kept_labels`."""
    from segbench.images import read_image

    _check_is_own(path)
    return read_image(path, 3)


def _check_is_own(path: Path) -> None:
    """Refuse pipes, which would be waited for, and links, by which a page would pass on what lies elsewhere."""
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        raise DataError(f"{path}: it is missing, a link or no file; a cell leaves files of its own")


def grid_name(step: int) -> str:
    """Return the name of a grid of images that were generated after some steps.

    >>> grid_name(500)
    'step-000500.png'
    """
    return f"step-{step:06d}.png"


def step_grids(folder: Path) -> dict[int, Path]:
    """Return the grids of a folder of pictures by the step after which they were generated, in order."""
    found = ((_STEP_GRID.fullmatch(path.name), path) for path in folder.glob("step-*.png"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def file_name(sample_id: str) -> str:
    """Return an id as a file name: what a name cannot hold is percent-encoded, letters of any script stay.

    It has at most NAME_BYTES (`shorten_name`).

    >>> file_name("aachen/000 1"), file_name("\u7ec6\u80de")
    ('aachen%2F000 1', '\u7ec6\u80de')
    """
    name = "".join(part if part.isalnum() else quote(part, safe=" ", errors="surrogateescape") for part in sample_id)
    return shorten_name(name, NAME_BYTES)


def shorten_name(name: str, room: int) -> str:
    """Return a name of at most `room` bytes; one that is longer is cut and ends in a hash of the whole."""
    content = os.fsencode(name)
    if len(content) <= room:
        return name
    mark = hashlib.sha256(content).hexdigest()[:16]
    return f"{content[: room - len(mark) - 1].decode('utf-8', 'ignore')}-{mark}"
