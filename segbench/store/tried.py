"""Marks of the methods that a worker tries before their cells run, so that of many workers only one tries each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder

from .atomic import storage_error

if TYPE_CHECKING:
    from .folder import ResultsFolder

_MARKS = ".tried"


def claim_try(folder: ResultsFolder, key: str) -> bool:
    """Return whether nobody has claimed to try the method of this cell so far; from now on somebody has.

    Raises RecordError if the folder is full or read-only.
    """
    marks = folder.path / _MARKS
    try:
        make_way_for_folder(marks)
        (marks / key).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError as error:
        raise storage_error(marks, error) from error
    return True


def forget_tries(folder: ResultsFolder) -> None:
    """Have all methods tried once more, as when a new run begins: who claimed to try one may have been killed."""
    shutil.rmtree(folder.path / _MARKS, ignore_errors=True)
