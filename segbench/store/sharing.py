"""GPUs on which several cells are trained at once: they slow each other down, so their seconds are not their methods'.

The record of a cell says in its environment how many cells its run trained at once. A cell that was stopped and goes on
alone keeps seconds of before, so each attempt tells it among its events too, which the next one takes over.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from segbench.files import open_own_log

from .atomic import storing_in
from .events import is_number, read_events
from .folder import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def shares_gpu(environment: Mapping[str, Any]) -> bool:
    """Tell whether cells were trained at once on a GPU; on a CPU they have threads of their own."""
    jobs = environment.get("jobs")
    return isinstance(jobs, int) and jobs > 1 and str(environment.get("device")).startswith("cuda")


def note_jobs(files: Path, jobs: int) -> None:
    """Note in the folder of an attempt how many cells are trained at once; RecordError if that cannot be written to."""
    event = {"time": round(time.time(), 3), "event": "jobs", "jobs": jobs}
    with storing_in(files), open(open_own_log(files / EVENTS), "a", encoding="utf-8") as file:
        file.write(f"{json.dumps(event)}\n")


def read_jobs(files: Path) -> int:
    """Return the most cells that were trained at once with an attempt or those it continues; 1 where none noted it."""
    noted = (event.get("jobs") for event in read_events(files)[0] if event.get("event") == "jobs")
    return max((jobs for jobs in noted if isinstance(jobs, int)), default=1)


def read_usage(files: Path) -> dict[str, float]:
    """Return what the cell of an attempt took of its machine, as it told at its end; only what was known."""
    told = (event for event in reversed(read_events(files)[0]) if event.get("event") == "usage")
    return {name: value for name, value in next(told, {}).items() if is_number(value)}
