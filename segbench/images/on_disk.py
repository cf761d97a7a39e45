"""Arrays whose bytes lie in a temporary file instead of memory."""

from __future__ import annotations

import math
import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

# By custom a folder on a disk, where /tmp may be memory.
_USUAL = "/var/tmp"


def array_on_disk(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that is mapped to a file without a name, which goes with the last use of the array.

    The file lies in TMPDIR, else in /var/tmp where there is one. Raises DataError where that has no room for it.
    """
    folder = tempfile.gettempdir() if "TMPDIR" in os.environ or not os.path.isdir(_USUAL) else _USUAL
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process at a later write
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape))
    except OSError as error:
        raise DataError(
            f"{folder}: no temporary file of {size / 1e9:.1f} GB can be made there ({error.strerror}); make room, or "
            "set TMPDIR to a folder that has it"
        ) from error
