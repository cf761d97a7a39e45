"""Counts the operations on files that each step of a worker makes in the results folder, by doing it there."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from segbench.execute.schedule import SharedCells
from segbench.store import leases
from segbench.store.attempt import begin_attempt, tidy
from segbench.store.folder import ResultsFolder
from segbench.store.leases import Leases
from segbench.store.publication import publish
from segbench.store.record import Record

if TYPE_CHECKING:
    from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_SORTS = {
    **dict.fromkeys(("os.listdir", "os.scandir"), "listings"),
    **dict.fromkeys(("os.utime", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"), "writes"),
}


class Counting:
    """Counts while it is on what is done to files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.counts, self._is_on = str(folder), Counter[str](), False
        sys.addaudithook(self._note)

    @contextmanager
    def step(self):
        """Count what the block does, and yield the counts."""
        self.counts = Counter()
        looks = {name: self._noting_a_look(getattr(os, name)) for name in ("stat", "lstat")}
        with mock.patch.multiple(os, **looks):
            self._is_on = True
            try:
                yield self.counts
            finally:
                self._is_on = False

    def _note(self, event: str, arguments: tuple) -> None:
        if self._is_on and (event == "open" or event in _SORTS) and self._is_inside(arguments[0]):
            self.counts[_SORTS.get(event) or ("writes" if arguments[2] & _WRITES else "reads")] += 1

    def _noting_a_look(self, look):
        def noted(path, *more, **named):
            self.counts["lookups"] += self._is_inside(path)
            return look(path, *more, **named)

        return noted

    def _is_inside(self, path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self._folder)


def count_operations(folder: Path) -> dict[str, Counter[str]]:
    """Return for each step how many listings, reads, writes and look-ups of attributes it makes."""
    results, counting = ResultsFolder(folder, "b"), Counting(folder)
    results.path.mkdir(parents=True, exist_ok=True)
    recorded, held, free, begun = keys = [f"{number:016x}" for number in range(4)]
    shared, own = SharedCells(results, keys), Leases(results)
    with mock.patch.object(leases, "machine", return_value="elsewhere"):
        others = Leases(results)
        others.acquire(held)
        publish_cell(results, others, recorded)
    warm = own.acquire(begun)  # what is made once in a folder is there from now on
    assert warm is not None
    warm.release()
    steps = {}
    with counting.step() as steps["ask for a recorded cell"]:
        assert shared.new_record(recorded) is not None
    with counting.step() as steps["ask for a cell that another one has"]:
        assert shared.new_record(held) is None
        assert not shared.lease(held)
    with counting.step() as steps["take a free cell"]:
        assert shared.new_record(free) is None
        assert shared.lease(free)
        assert shared.new_record(free) is None
        begin_attempt(results, shared.leases[free])
    lease = own.acquire(begun)
    assert lease is not None
    begin_attempt(results, lease)
    with counting.step() as steps["renew"]:
        own.renew()
        assert not lease.is_lost  # as the run looks
        assert not lease.is_lost  # as its worker process does
    with counting.step() as steps["publish"]:
        publish(results, lease, record_of(begun))
        tidy(results, begun)
        lease.release()
    return steps


def publish_cell(results: ResultsFolder, own: Leases, key: str) -> None:
    """Make the record of a cell."""
    lease = own.acquire(key)
    assert lease is not None
    begin_attempt(results, lease)
    publish(results, lease, record_of(key))
    tidy(results, key)
    lease.release()


def record_of(key: str) -> Record:
    """Return the record of a finished cell."""
    names = {"benchmark": "b", "dataset": "d", "subset": "all", "method": "m", "seed": 0}
    return Record(key=key, status="ok", spec={}, environment={}, **names)
