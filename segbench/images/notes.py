"""What the reader notes of each file: its format, depth, and what was left out of it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHA_ALONE = "the alpha channel differs and the colours do not; are the classes in the alpha channel?"
ALPHA_DROPPED = "the alpha channel is not opaque everywhere, and is left out"
MAP_IGNORED = "GeoTIFF tags (place, scale, value without data) are ignored"
FIRST_PICTURE = "the first of several pictures in a file is taken (MPO)"


class FileNote(NamedTuple):
    """The content of one file, such as ("mask", "PNG", "8-bit palette"), and a remark on what was left out, or ""."""

    kind: Literal["image", "mask"]
    format: str
    depth: str
    remark: str = ""


_noted: ContextVar[list[FileNote] | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[list[FileNote]]:
    """Collect the notes of the files that this thread reads inside."""
    notes: list[FileNote] = []
    token = _noted.set(notes)
    try:
        yield notes
    finally:
        _noted.reset(token)


def note(content: FileNote) -> None:
    """Note what a file holds, where notes are collected."""
    notes = _noted.get()
    if notes is not None:
        notes.append(content)
