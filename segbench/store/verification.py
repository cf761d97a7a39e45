"""The mark of a recorded cell that was run again: whether its scores came out again, kept beside its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .atomic import write_atomically
from .json_file import read_model, sealed_json
from .record import Generation, Part, Scores

if TYPE_CHECKING:
    from pathlib import Path

    from .record import Record

VERIFIED = "verified.json"

Outcome = Literal[
    "same bits",  # the counts and scores of every image are those recorded
    "within seeds",  # other bits were to be expected, and the score lies as near as the spread of seeds lets expect
    "undecided",  # other bits were to be expected, and there are too few seeds to tell how near that is
    "not reproduced",
]


class Verification(Part):
    """How a cell came out when it was run again, on what machine, and what differed from its record.

    `recorded` and `generation` are what the record held then: a mark counts only for a record that still holds them.
    `score` names the number that was compared, `before` and `after` are its values. A repeat lies in the interval from
    `low` to `high` with 95 % for all `together` cells that were drawn at once; its width is from the spread of the
    recipe's `seeds` cells, over all test folds, but this one. `machine` holds entries of a record's environment.
    """

    key: str
    outcome: Outcome
    date: str
    score: str
    before: float | None
    after: float | None
    low: float | None = None
    high: float | None = None
    seeds: int
    together: int = 1
    differences: tuple[str, ...] = ()
    recorded: Scores | None = None
    generation: Generation | None = None
    machine: dict[str, Any]

    @property
    def is_reproduced(self) -> bool:
        """Whether the cell came out as recorded."""
        return self.outcome in ("same bits", "within seeds")


def write_verification(folder: Path, mark: Verification) -> None:
    """Write the mark of a cell into its folder, in the place of an older one; RecordError if that cannot be done."""
    write_atomically(folder / VERIFIED, sealed_json(mark.model_dump(mode="json")))


def read_verification(folder: Path, record: Record) -> Verification | None:
    """Return the mark of a finished cell from its folder; None if there is none, or if it is of another record.

    Raises RecordError if it cannot be read or has been changed.
    """
    path = folder / VERIFIED
    if not path.exists():
        return None
    mark = read_model(path, Verification, "is no mark of a verification")
    same = (mark.key, mark.recorded, mark.generation) == (record.key, record.scores, record.generation)
    return mark if same else None
