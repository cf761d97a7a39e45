"""The course of a training by its events: what the worker of a cell wrote down while it ran."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.files import open_file
from segbench.store.folder import EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# More of a file is not read, and of more events of one kind evenly spread ones.
MOST_BYTES = 1 << 25
MOST_EVENTS = 400
_LONGEST_LINE = 2000
_LARGEST = 1e300  # what is not finite is not below it


class Course(NamedTuple):
    """A number over the steps of one training, in the order of the steps."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_courses(folder: Path) -> dict[str, Course]:
    """Return the `loss` and the `miou` on val over the steps of a cell; what is not there or damaged is left out."""
    try:
        with open(open_file(folder / EVENTS), "rb") as file:
            lines = (file.read(MOST_BYTES) or b"").splitlines()
    except OSError:
        return {}
    found = {
        name: _course([event for event in map(_parse, _spread(lines, kind)) if event], name)
        for name, kind in (("loss", b'"event": "step"'), ("miou", b'"event": "validation"'))
    }
    return {name: course for name, course in found.items() if course.steps}


def _spread(lines: Sequence[bytes], kind: bytes) -> list[bytes]:
    """Return evenly spread lines of a kind, the last among them, before any is parsed."""
    own = [line for line in lines if kind in line and len(line) < _LONGEST_LINE]
    stride = -(-len(own) // MOST_EVENTS) or 1
    return own[::-1][::stride][::-1]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _course(events: Sequence[dict[str, Any]], name: str) -> Course:
    """Return the numbers by step; a training that went back to a checkpoint replaces what it had come to."""
    steps: list[int] = []
    values: list[float] = []
    for event in events:
        step: Any = event.get("step")
        value: Any = event.get(name)
        if type(step) is not int or type(value) not in (int, float) or not -_LARGEST < value < _LARGEST:
            continue
        while steps and steps[-1] >= step:
            steps.pop(), values.pop()
        steps.append(step)
        values.append(float(value))
    return Course(tuple(steps), tuple(values))
