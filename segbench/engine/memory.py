"""Memory of the process: freed memory kept for reuse, and running out of it told in one way."""

from __future__ import annotations

import ctypes
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from segbench.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


@contextmanager
def memory_errors_named(device: torch.device) -> Iterator[None]:
    """Turn the several ways of running out of memory into one error."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory(device, error) from error
    except RuntimeError as error:
        # The CPU allocator raises a plain RuntimeError.
        if "can't allocate memory" not in str(error):
            raise
        raise _out_of_memory(device, error) from error


def _out_of_memory(device: torch.device, error: Exception) -> OutOfMemoryError:
    first_line = (str(error).strip() or "no further details").splitlines()[0]
    return OutOfMemoryError(f"out of memory on {device}: {first_line}; lower batch_size or crop")


def keep_freed_memory() -> None:
    """Have the C library keep memory that is freed, since every training step asks for the same again.

    Otherwise glibc returns large tensors to the system, which clears each page anew at the next step. Does nothing
    where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, -1)
