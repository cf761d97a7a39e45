"""The search for cells that nobody else works on, where many runs share a results folder.

A look asks for one waiting cell after the other and ends after a few that others have or have finished: a thousand
workers on a million cells would else ask for thousands to find a free one. The names of records in one listing then
tell a worker of all that are finished, and where all that were asked for are at work elsewhere, it rests.

These are the rules alone, without a file; benchmarks/harness/many_workers.py simulates many workers by them.
"""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping, Sequence

    from segbench.store.record import Record

ASK_AGAIN_SECONDS = 1.0  # before the lease of a cell that another run has is asked for again, at least; at most twice
MOST_MISSES = 20  # cells that others have or have finished, in turn, before a look ends
LIST_SECONDS = 300.0  # between two listings of the folder, which has a name for every record
_MOST_RESTS = 16  # the longest rest, as a multiple of what is waited before a cell is asked for again


class Found(NamedTuple):
    """A cell that was asked for: the record that another run has made of it, and whether it is leased to this run."""

    key: str
    record: Record | None
    is_leased: bool


class Shared(Protocol):
    """What the search asks of the results folder; see `segbench.execute.schedule.SharedCells`."""

    def new_record(self, key: str) -> Record | None:
        """Return the record that another run has made of a cell meanwhile."""

    def lease(self, key: str) -> bool:
        """Take the lease of a cell and return whether it was free."""

    def find_finished(self, keys: Collection[str]) -> list[str]:
        """Return those of the cells that others have finished meanwhile, by one listing."""


class Search:
    """The cells that this run waits for, in the order in which it asks for them.

    `has_asked_all` tells whether the last look has come to the end of those that are ready.
    """

    def __init__(
        self, waiting: MutableMapping[str, None], shared: Shared, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waiting = waiting
        self._shared, self._clock = shared, clock
        self._ask_again: dict[str, float] = {}
        self._misses, self.has_asked_all = 0, False
        self.rests_until, self._listed = -math.inf, clock()

    def look(self, is_ready: Callable[[str], bool]) -> Iterator[Found]:
        """Ask for those cells that are ready, and yield each that was asked for; nothing during a rest.

        Those found leased or recorded wait no longer; others are the last to be asked for again.
        """
        if self._clock() < self.rests_until:
            return
        self._misses, self.has_asked_all, held = 0, False, 0
        for key in filter(is_ready, self._in_order()):
            if self._clock() < self._ask_again.get(key, 0.0):
                continue
            found = self._ask(key)
            is_free = found.is_leased and found.record is None
            self._misses = 0 if is_free else self._misses + 1
            held += not found.is_leased and found.record is None
            if held == self._misses == MOST_MISSES:
                self.rests_until = self._clock() + self._rest_seconds()
            yield found
            if self._misses == MOST_MISSES:
                return
        self.has_asked_all = True

    def list_finished(self) -> list[str]:
        """Return waiting cells that others have finished, where the last look has met too many; they wait no longer."""
        if self._misses < MOST_MISSES or self._clock() - self._listed < LIST_SECONDS:
            return []
        self._listed, self._misses = self._clock(), 0
        finished = self._shared.find_finished(self.waiting)
        for key in finished:
            del self.waiting[key]
        if finished:
            self.rests_until = -math.inf
        return finished

    def _in_order(self) -> Iterable[str]:
        return list(self.waiting)

    def _ask(self, key: str) -> Found:
        record = self._shared.new_record(key)
        is_leased = record is None and self._shared.lease(key)
        if is_leased:  # once more: another run may have recorded the cell before releasing it
            record = self._shared.new_record(key)
        del self.waiting[key]
        if record is None and not is_leased:
            # Not all runs at the same moment again and again.
            self._ask_again[key] = self._clock() + ASK_AGAIN_SECONDS * random.uniform(1, 2)
            self.waiting[key] = None
        return Found(key, record, is_leased)

    def _rest_seconds(self) -> float:
        """Return how long to rest: many cells that others have are asked for no more often than few."""
        rests = min(_MOST_RESTS, len(self.waiting) / MOST_MISSES)
        return ASK_AGAIN_SECONDS * random.uniform(1, 2) * rests


def in_own_order(keys: Sequence[str], needed: Collection[str]) -> list[str]:
    """Return keys in an order that no other run has, so that many runs ask for different cells; `needed` ones first."""
    shuffled = random.sample(keys, len(keys))
    return sorted(shuffled, key=lambda key: key not in needed)
