"""The events of a cell: what its worker told while it ran, a JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic_core import from_json

from segbench.files import open_file

from .folder import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST = 1e300  # what is not finite is not below it


def read_events(cell_folder: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the events of a cell that were written from a byte on, and the byte from which to read next.

    The last line may still be being written, and is left for later. A file that was begun anew is read from its
    beginning: the byte that is returned is then below `start`.
    """
    try:
        with open(open_file(cell_folder / EVENTS), "rb") as file:
            start = start if start <= file.seek(0, 2) else 0
            file.seek(start)
            whole, _, _ = file.read().rpartition(b"\n")
    except OSError:
        return [], start
    return list(_parse(whole)), start + len(whole) + bool(whole)


def _parse(lines: bytes) -> Iterator[dict[str, Any]]:
    for line in lines.splitlines():
        try:
            event = from_json(line, allow_inf_nan=False)
        except ValueError:  # cut short when its process was killed
            continue
        if isinstance(event, dict) and is_number(event.get("time")):
            yield event


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value that JSON held is a finite number."""
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST
