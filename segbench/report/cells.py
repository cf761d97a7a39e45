"""Recorded cells one by one: what each is, when and with which code it ran, and what it takes on the disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError, alternatives
from segbench.store.folder import ResultsFolder
from segbench.store.leases import see_leases
from segbench.store.record import Scores
from segbench.store.removal import size_of_cell

from . import cell_spec
from .records import describe_cause, in_order, read_records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from segbench.store.folder import RecordProblem
    from segbench.store.record import Record


class RecordedCell(NamedTuple):
    """A record, and the benchmark's folder that it lies in."""

    record: Record
    folder: ResultsFolder

    @property
    def name(self) -> str:
        """What the cell is, in a line."""
        record, subset, fold = self.record, cell_spec.pooled_subset(self.record), cell_spec.test_fold(self.record)
        parts = [record.benchmark, record.dataset, *([] if subset == "all" else [subset]), record.method]
        return " / ".join([*parts, f"seed {record.seed}", *([f"fold {fold}"] if fold else [])])


def list_cells(
    directories: Sequence[Path], benchmark: str | None = None
) -> tuple[list[RecordedCell], list[RecordProblem]]:
    """Return the records of results folders with any status, in the order of reports, and what cannot be read.

    One cell has a record in each folder it was recorded in. Raises RecordError as `read_sources`.
    """
    found, problems = read_records(directories, benchmark)
    cells = [RecordedCell(record, ResultsFolder(folder.parent, folder.name)) for folder, record in found]
    return sorted(cells, key=_place), problems


def _place(cell: RecordedCell) -> tuple[object, ...]:
    *names, key = in_order(cell.record)
    return *names, cell_spec.test_fold(cell.record) or 0, key


def describe_cell(cell: RecordedCell) -> dict[str, Any]:
    """Return what a cell is by the names of docs/reference.md; None for what is not known."""
    record = cell.record
    return {
        **{name: getattr(record, name) for name in ("key", "benchmark", "dataset")},
        "subset": cell_spec.pooled_subset(record),
        **{name: getattr(record, name) for name in ("method", "seed")},
        "fold": cell_spec.test_fold(record),
        "status": record.status,
        "cause": None if record.status == "ok" else describe_cause(record),
        "started": record.environment.get("started"),
        "code": cell_spec.code(record),
        "bytes": size_of_cell(cell.folder, record.key),
        "folder": str(cell.folder.path),
        "builds_on": list(cell_spec.upstream(record)),
        "train_steps": record.train.steps if record.train else None,
        "train_seconds": record.train.seconds if record.train else None,
        **{name: getattr(record.scores, name, None) for name in Scores.model_fields},
    }


def find_cells(cells: Sequence[RecordedCell], keys: Collection[str]) -> list[RecordedCell]:
    """Return the cells that some keys, or beginnings of one, mean; RecordError for what begins none or several."""
    wanted = {_complete(key, {cell.record.key for cell in cells}) for key in keys}
    return [cell for cell in cells if cell.record.key in wanted]


def _complete(text: str, known: Collection[str]) -> str:
    found = sorted(key for key in known if key.startswith(text))
    if len(found) == 1:
        return found[0]
    if found:
        raise RecordError(f"{text!r} begins {len(found)} keys: {', '.join(found[:5])}; write more of one")
    raise RecordError(f"no recorded cell has a key that begins with {text!r}; `segbench records` lists them")


def check_name(field: str, name: str | None, cells: Iterable[RecordedCell]) -> None:
    """Raise RecordError if a field of no record, such as `method`, holds a name that was given."""
    names = sorted({getattr(cell.record, field) for cell in cells})
    if name is not None and name not in names:
        raise RecordError(f"no recorded cell of the {field} {name!r}.{alternatives(name, names)}").among(names)


def builders(cells: Iterable[RecordedCell], chosen: Collection[RecordedCell]) -> list[RecordedCell]:
    """Return the cells beside some chosen ones that build on these, such as by their weights."""
    own = {(cell.folder.path, cell.record.key) for cell in chosen}
    return [
        cell
        for cell in cells
        if (cell.folder.path, cell.record.key) not in own
        and any((cell.folder.path, key) in own for key in cell_spec.upstream(cell.record))
    ]


def busy_keys(folder: ResultsFolder) -> frozenset[str]:
    """Return the keys of the cells that living processes work on."""
    return frozenset(lease.key for lease in see_leases(folder, time.time()) if not lease.is_abandoned)
