"""Marks of the methods that a worker tries before their cells run, so that of a run's many only one tries each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.files import make_way_for_folder

from .atomic import storage_error

if TYPE_CHECKING:
    from .folder import ResultsFolder

_MARKS = ".tried"


def claim_try(folder: ResultsFolder, key: str, began: int) -> bool:
    """Return whether nobody has claimed to try the method of this cell in the run that began then; now somebody has.

    Raises RecordError if the folder is full or read-only.
    """
    marks = folder.path / _MARKS
    try:
        make_way_for_folder(marks)
        (marks / f"{key}-{began}").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError as error:
        raise storage_error(marks, error) from error
    return True
