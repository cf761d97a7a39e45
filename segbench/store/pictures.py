"""How the pictures that a cell leaves are named."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path


SAMPLES = "samples"  # the folder of pictures in a cell's own

# Bytes of a picture's name before its ending; with the longest ending it fits any file system, encrypted ones too.
NAME_BYTES = 120


def picture_path(folder: Path, sample_id: str, kind: str = "") -> Path:
    """Return the path of a picture of a sample; `kind` is "" for its label map, or such as ".truth"."""
    return folder / f"{file_name(sample_id)}{kind}.png"


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
