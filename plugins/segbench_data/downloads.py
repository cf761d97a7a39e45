"""What goes wrong in a download, told with the way to do it by hand."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from segbench import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def downloading(name: str, by_hand: str) -> Iterator[None]:
    """Turn any failure inside into a DataError with its cause and how to get the dataset by hand."""
    try:
        yield
    except Exception as error:  # sockets, servers, disks and archives each fail in their own way
        raise DataError(
            f"{name} could not be downloaded ({type(error).__name__}: {error}). By hand: {by_hand}"
        ) from error
