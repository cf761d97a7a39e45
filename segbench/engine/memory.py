"""Running out of memory, told in one way."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from segbench.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def memory_errors_named(device: torch.device) -> Iterator[None]:
    """Turn the several ways of running out of memory into one CellError."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory(device, error) from error
    except RuntimeError as error:
        # The CPU allocator raises a plain RuntimeError.
        if "can't allocate memory" not in str(error):
            raise
        raise _out_of_memory(device, error) from error


def _out_of_memory(device: torch.device, error: Exception) -> CellError:
    first_line = (str(error).strip() or "no further details").splitlines()[0]
    return CellError(f"out of memory on {device}: {first_line}; lower batch_size or crop")
