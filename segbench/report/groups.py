"""Rankings: groups of rows that may be compared with each other, and the cells that left no result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from . import cell_spec
from .conditions import Conditions, complete
from .rows import build_rows, name_recipes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from segbench.store.folder import RecordProblem
    from segbench.store.record import Record

    from .rows import Row
    from .sources import Sources


class Data(NamedTuple):
    """What was scored; scores of different data are never compared."""

    benchmark: str
    dataset: str
    fingerprint: str | None
    subset: str
    split: str | None
    images: int | None

    @property
    def heading(self) -> str:
        """The data in one line."""
        images = "unknown number of images" if self.images is None else f"{self.images} image{'s' * (self.images != 1)}"
        parts = [f"{self.split or 'unknown split'}, {images}"]
        if self.subset != "all":
            parts.append(f"trained on {cell_spec.subset_text(self.subset)}")
        parts.append(f"data {self.fingerprint[:12]}" if self.fingerprint else "data not identified")
        return " · ".join(parts)


@dataclass(frozen=True)
class Group:
    """Rows under the same data, protocol and conditions, best mIoU first.

    `protocol` says how the protocol differs from that of the benchmark's other groups; empty if there is one only.
    `conditions` is None if all rows are scored label maps.
    """

    data: Data
    protocol: str
    conditions: Conditions | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Report:
    """All that is shown: rankings, cells without a result, files that could not be read, and where all that lies.

    `helpers` are finished cells that only served others, such as those of a fold; they are in no ranking.
    """

    groups: tuple[Group, ...]
    helpers: tuple[Record, ...]
    without_result: tuple[Record, ...]
    problems: tuple[RecordProblem, ...]
    folders: tuple[Path, ...]


def build_report(sources: Sources) -> Report:
    """Sort records into rankings."""
    finished = [record for record in sources.records if record.status == "ok"]
    helpers = tuple(record for record in finished if cell_spec.is_helper(record))
    by_data: dict[Data, list[Record]] = {}
    for record in finished:
        if not cell_spec.is_helper(record):
            by_data.setdefault(_data(record), []).append(record)
    groups = [group for data in sorted(by_data, key=_order) for group in _groups(data, by_data[data])]
    without_result = tuple(record for record in sources.records if record.status != "ok")
    return Report(tuple(groups), helpers, without_result, sources.problems, sources.folders)


def _data(record: Record) -> Data:
    images = record.evaluated.images if record.evaluated else None
    return Data(
        record.benchmark,
        record.dataset,
        cell_spec.fingerprint(record),
        record.subset,
        cell_spec.split(record),
        images,
    )


def _groups(data: Data, records: Sequence[Record]) -> list[Group]:
    """Split the records of one set of data by protocol and conditions; scored label maps stand in every group."""
    scored = build_rows(record for record in records if cell_spec.is_scored_only(record))
    protocols = _by_protocol([record for record in records if not cell_spec.is_scored_only(record)])
    labels = cell_spec.differences([shared for shared, _ in protocols])
    groups = [
        Group(data, label, where, _ranked([*rows, *scored]))
        for (_, found), label in zip(protocols, labels, strict=True)
        for where, rows in _by_conditions(build_rows(found)).items()
    ]
    ordered = sorted(groups, key=lambda group: (group.protocol, _order(group.conditions)))
    return ordered or [Group(data, "", None, _ranked(scored))]


def _by_conditions(rows: Sequence[Row]) -> dict[Conditions, list[Row]]:
    filled = complete(row.conditions for row in rows if row.conditions is not None)
    groups: dict[Conditions, list[Row]] = {}
    for row in rows:
        if row.conditions is not None:
            groups.setdefault(filled[row.conditions], []).append(row)
    return groups


def _by_protocol(records: Sequence[Record]) -> list[tuple[dict[str, Any], list[Record]]]:
    """Sort records by the protocol of their benchmark, for a benchmark file may have been edited between two runs.

    Of a method that overrides keys only the other ones tell which protocol it ran under; where several could be meant,
    the cell is the same under each and stands in each.
    """
    protocols: list[tuple[dict[str, Any], list[Record]]] = []
    for record in sorted(records, key=lambda record: (len(cell_spec.overrides(record)), record.key)):
        shared = cell_spec.shared_protocol(record)
        matching = [entry for entry in protocols if _agree(entry[0], shared)]
        if not matching:
            matching = [(dict(shared), [])]
            protocols += matching
        for known, found in matching:
            known.update(shared)
            found.append(record)
    return protocols


def _agree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[key] == other[key] for key in one.keys() & other.keys())


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Sort by mean mIoU, best first; rows without one come last."""
    return tuple(sorted(name_recipes(rows), key=_rank))


def _rank(row: Row) -> tuple[bool, float, str, str]:
    miou = row.score("miou").mean
    return miou is None, -(miou or 0.0), row.method, row.records[0].key


def _order(value: object) -> str:
    return repr(value)
