"""Workers that have said nothing for long: for how long, and in whose code they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .blame import blame_for_files
from .tracking import duration

if TYPE_CHECKING:
    from .workers import Worker

# Training speaks twice a second; evaluating, compiling and building may take this long.
SILENT_SECONDS = 120.0

_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_MAIN_THREAD = "Current thread 0x"


class Frame(NamedTuple):
    """A line of a stack as faulthandler writes it."""

    file: str
    line: str
    function: str


class SilenceWatch:
    """Remarks on workers that are silent: after two minutes, and again whenever that time has doubled."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def remark(self, name: str, worker: Worker) -> str | None:
        """Say how long a worker has been silent and where it stands, if that is to be said now."""
        seconds = worker.silent_seconds
        if seconds < SILENT_SECONDS:
            self._due.pop(name, None)
        if seconds < self._due.get(name, SILENT_SECONDS):
            return None
        self._due[name] = 2 * seconds
        place = place_in(worker.stacks())
        return (
            f"nothing heard for {duration(seconds)}{place and f'; it stands in {place}'} "
            "(Ctrl-C stops the run, --timeout SECONDS ends such cells)"
        )


def place_in(stacks: str) -> str:
    """Say where a process stands whose stacks faulthandler has written, in a plugin's code if it is there; or "".

    >>> place_in('Current thread 0x7f (most recent call first):\\n  File "/lib/queue.py", line 171 in get\\n')
    'queue.py, line 171, in get'
    """
    others, _, main = stacks.partition(_MAIN_THREAD)
    frames = [Frame(*found) for found in (*_FRAME.findall(main), *_FRAME.findall(others))]
    if not frames:
        return ""
    plugin = blame_for_files(frame.file for frame in frames)
    if plugin is None:
        return _described(frames[0])
    innermost = next(frame for frame in frames if blame_for_files([frame.file]) == plugin)
    return f"plugin {plugin!r}: {_described(innermost)}"


def _described(frame: Frame) -> str:
    return f"{Path(frame.file).name}, line {frame.line}, in {frame.function}"
