"""Arrays whose bytes lie in a temporary file instead of memory."""

from __future__ import annotations

import math
import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

# By custom a folder on a disk, where /tmp may be memory.
_USUAL = "/var/tmp"


def array_on_disk(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that is mapped to a file without a name, which goes with the last use of the array.

    The file lies in TMPDIR, else in /var/tmp where there is one. Raises OSError where the folder has no room for it.
    """
    folder = None if "TMPDIR" in os.environ or not os.path.isdir(_USUAL) else _USUAL
    with tempfile.TemporaryFile(dir=folder) as file:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if hasattr(os, "posix_fallocate"):  # else a full disk would end the process at a later write
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape))
