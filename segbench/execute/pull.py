"""A pull worker: a run on one machine of many, which takes cells of a run that was started elsewhere.

Of many workers only one tries each method before its cells run: whoever marks it first in the results folder.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder
from segbench.store.atomic import storing_in

from .jobs import key_of, method_of, upstream_of
from .search import in_own_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.plan.cell import Cell
    from segbench.store.folder import ResultsFolder
    from segbench.store.record import Record

    from .time_limit import TimeLimit

_MARKS = ".tried"  # the folder of marks in a benchmark's


@dataclass(frozen=True)
class Pull:
    """What sets a pull worker apart from a run of its own: its time, and when the run that it is for began.

    `began` is in nanoseconds, by the clock of the file system that the records are on, or of the machine that began it.
    """

    limit: TimeLimit
    began: int

    def read_failed(self, cells: Sequence[Cell], folder: ResultsFolder) -> dict[str, Record]:
        """Return by key the records of cells that another worker of the run has failed, which is not tried again."""
        found, listed = {}, folder.listed_keys()
        for key in filter(listed.__contains__, map(key_of, cells)):
            path = folder.existing_path(key)
            if path.is_file() and path.stat().st_mtime_ns >= self.began:
                record = folder.read(key)
                if record is not None and record.status in ("failed", "skipped"):
                    found[key] = record
        return found

    def choose_to_try(self, cells: Sequence[Cell], todo: Sequence[Cell], folder: ResultsFolder) -> list[Cell]:
        """Return the cells to do of methods that no other worker tries; those of a plan are `cells`."""
        first = {method_of(cell): key_of(cell) for cell in reversed(cells)}
        untried = {method for method in dict.fromkeys(map(method_of, todo)) if claim_try(folder, first[method])}
        return [cell for cell in todo if method_of(cell) in untried]

    def in_own_order(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return cells in the order in which this worker asks for them; see `segbench.execute.search`."""
        by_key = {key_of(cell): cell for cell in cells}
        needed = {key for cell in cells for key in upstream_of(cell).values()}
        return [by_key[key] for key in in_own_order(list(by_key), needed)]


def claim_try(folder: ResultsFolder, key: str) -> bool:
    """Return whether nobody has claimed to try the method of this cell so far; from now on somebody has.

    Raises RecordError if the folder is full or read-only.
    """
    marks = folder.path / _MARKS
    with storing_in(marks), suppress(FileExistsError):
        make_way_for_folder(marks)
        (marks / key).touch(exist_ok=False)
        return True
    return False


def forget_tries(folder: ResultsFolder) -> None:
    """Have all methods tried once more, as when a new run begins: who claimed to try one may have been killed."""
    shutil.rmtree(folder.path / _MARKS, ignore_errors=True)
