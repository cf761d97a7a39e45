"""How workers ended, and what that means."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import CellError
from segbench.files import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DONE, TIME_IS_UP = 0, 75
_LINES = 8
_MEANINGS: dict[int | None, str] = {
    DONE: "nothing was left to take",
    TIME_IS_UP: "its time was up",
    126: "the command cannot be run",
    127: "the command was not found",
    130: "it was stopped",
    255: "that of ssh, if the machine was not reached",
}


class End(NamedTuple):
    """How a worker ended: its name, its exit code (None: killed without one) and the last lines of its output."""

    name: str
    code: int | None
    lines: tuple[str, ...]


def last_lines(log: Path) -> tuple[str, ...]:
    """Return the last lines of a file of output; none if there is no such file."""
    try:
        return tuple(read_file(log).decode(errors="replace").splitlines()[-_LINES:])
    except OSError:
        return ()


def describe_ends(ends: Sequence[End]) -> list[str]:
    """Say which workers ended with what, those with one exit code together, and the last words of what failed."""
    groups: dict[int | None, list[End]] = defaultdict(list)
    for end in ends:
        groups[end.code].append(end)
    return [line for code, group in groups.items() for line in _describe_group(code, group)]


def _describe_group(code: int | None, ends: Sequence[End]) -> list[str]:
    names = ", ".join(end.name for end in ends)
    meaning = f" ({_MEANINGS[code]})" if code in _MEANINGS else ""
    was = "was" if len(ends) == 1 else "were"
    how = f"{was} killed, by system or machine" if code is None else f"ended with {code}{meaning}"
    words = [] if code in (DONE, TIME_IS_UP) else [f"  {line}" for line in ends[0].lines]
    return [f"{names} {how}{f'; the last lines of {ends[0].name}:' if words else ''}", *words]


def check_ends(ends: Sequence[End], place: Path) -> None:
    """Raise CellError if no worker could work, as where a batch system has started none."""
    if all(end.code not in (DONE, TIME_IS_UP) for end in ends):
        told = "\n".join(describe_ends(ends))
        raise CellError(f"no worker came to an end of its work; their output is in {place}\n{told}")
