"""Marks of the methods that a worker tries before their cells run, so that of many workers only one tries each."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder

from .atomic import storing_in

if TYPE_CHECKING:
    from .folder import ResultsFolder

_MARKS = ".tried"


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
