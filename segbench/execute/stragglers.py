"""Stragglers: cells that others are so slow at that this process, without work of its own, would overtake them.

A second attempt at such a cell begins anew, and the first of the two to finish is recorded. How fast a cell is follows
from two looks at its events, minutes apart by this machine's clock.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from segbench.store.events import is_number, read_events
from segbench.store.leases import see_leases

from .jobs import method_of, upstream_of
from .progress import part_done

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.leases import LeaseSeen
    from segbench.store.record import Record

_LOOK_SECONDS = 30.0  # between two looks
_WATCH_SECONDS = 300.0  # before a cell is judged: validations and compilation take a while without a step
_LONGER = 1.5  # what is left against what a whole cell took: evaluation and validations are not in that


class Stragglers:
    """The cells of a run that others work on, and how far these were when they were seen first; each is told once."""

    def __init__(self, folder: ResultsFolder, cells: Mapping[str, Cell]) -> None:
        self._folder, self._cells = folder, cells
        self._first: dict[tuple[str, str], tuple[float, float]] = {}
        self._told = {key for cell in cells.values() if (key := upstream_of(cell).get("budget"))}
        self._looked = -math.inf

    def find_slowest(self, keys: Iterable[str], records: Mapping[str, Record]) -> str | None:
        """Return the cell, of those that others work on, that would be overtaken by most; None if none would.

        `records` tell how long such cells took. Cells whose seconds of training count are never overtaken: those with a
        budget in seconds, and those that are the budget of others.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return None
        self._looked = now
        attempts = self._attempts(set(keys) - self._told)
        slowness = {key: self._slowness(key, attempt, records, now) for key, attempt in attempts.items()}
        slowest = max(slowness, key=slowness.__getitem__, default=None)
        if slowest is None or slowness[slowest] < _LONGER:
            return None
        self._told.add(slowest)
        return slowest

    def _attempts(self, keys: Collection[str]) -> dict[str, str]:
        """Return what names the attempts that may be overtaken: the only ones at their cells, and on other machines."""
        found: defaultdict[str, list[LeaseSeen]] = defaultdict(list)
        for lease in see_leases(self._folder, time.time()) if keys else ():
            if not lease.is_abandoned:
                found[lease.key].append(lease)
        by_steps = {key for key in keys if not self._cells[key].method.protocol.budget.is_time}
        alone = [leases[0] for key, leases in found.items() if len(leases) == 1 and key in by_steps]
        elsewhere = [lease for lease in alone if lease.owner and not lease.owner.is_here]
        return {lease.key: lease.attempt for lease in elsewhere if lease.attempt}

    def _slowness(self, key: str, attempt: str, records: Mapping[str, Record], now: float) -> float:
        """Return how long a cell will still last, as a multiple of what such cells take in all; 0 if not known."""
        part = self._part_done(key, attempt)
        began, before = self._first.setdefault((key, attempt), (now, part))
        usual = self._usual_seconds(key, records)
        if now - began < _WATCH_SECONDS or not usual or part == 1:
            return 0.0
        done = part - before
        return (now - began) * (1 - part) / done / usual if done > 0 else math.inf

    def _part_done(self, key: str, attempt: str) -> float:
        events, _ = read_events(self._folder.cell_folder(key) / attempt)
        steps = (event for event in reversed(events) if event.get("event") == "step")
        last: dict[str, Any] = next(
            (event for event in steps if is_number(event.get("step")) and is_number(event.get("steps"))), {}
        )
        return part_done(last, None)

    def _usual_seconds(self, key: str, records: Mapping[str, Record]) -> float | None:
        """Return the longest that training took in the recorded cells of a cell's method; None if there are none."""
        method = method_of(self._cells[key])
        same = (record for record in records.values() if (record.dataset, record.method) == method)
        seconds = [record.train.seconds for record in same if record.status == "ok" and record.train]
        return max(seconds, default=None)
