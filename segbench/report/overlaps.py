"""What intervals are computed from: the hits and unions of each image, from the counts beside each record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError, StatisticsError
from segbench.stats.evidence import Evidence, common_seeds, iou_evidence
from segbench.store.counts import COUNTS
from segbench.store.folder import RecordProblem

from .comparable import own_counts
from .sources import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from segbench.store.record import Record

    from .sources import Identity, Sources


class Overlaps(NamedTuple):
    """The evidence of one cell each, of the records that have counts, and the records that must not be used."""

    cells: Mapping[Identity, Evidence]
    damaged: Mapping[Identity, RecordProblem]

    def of(self, record: Record) -> Evidence | None:
        """Return the hits and unions of one record; None if it has no counts."""
        return self.cells.get(identity(record))


def read_overlaps(sources: Sources, records: Iterable[Record]) -> Overlaps:
    """Read the counts of records, each file once, and keep of each image only the sums that IoU needs.

    A record without counts is in neither part. One whose counts are damaged, do not add up to the pixels of its images,
    or are of other images, classes or scores than its own is in `damaged`.
    """
    cells: dict[Identity, Evidence] = {}
    damaged: dict[Identity, RecordProblem] = {}
    for record in records:
        folder = sources.cell_folders.get(identity(record))
        if folder is None or not (folder / COUNTS).is_file():
            continue
        try:
            cells[identity(record)] = iou_evidence({record.method: {record.seed: own_counts(record, sources)}})
        except (RecordError, StatisticsError) as error:
            damaged[identity(record)] = RecordProblem(_record_path(folder), f"set aside for its counts: {error}")
    return Overlaps(cells, damaged)


def joined(cells: Mapping[str, Mapping[int, Evidence]]) -> Evidence:
    """Put the evidence of single cells together, of several methods by seed; only seeds that all have are taken.

    Raises StatisticsError if there is no common seed, or if images, clusters or classes differ.
    """
    import numpy as np

    seeds = common_seeds(cells)
    used = {method: [by_seed[seed] for seed in seeds] for method, by_seed in cells.items()}
    (first_name, (first, *_)), *_ = used.items()
    for name, found in used.items():
        for cell in found:
            _check_fits(first_name, first, name, cell)
    hits = np.stack([np.concatenate([cell.hits[0] for cell in found]) for found in used.values()])
    whole = np.stack([np.concatenate([cell.whole[0] for cell in found]) for found in used.values()])
    return replace(first, methods=tuple(used), seeds=seeds, hits=hits, whole=whole)


def _check_fits(first_name: str, first: Evidence, name: str, cell: Evidence) -> None:
    for what in ("images", "clusters", "num_classes"):
        if getattr(cell, what) != getattr(first, what):
            raise StatisticsError(f"{first_name} and {name} were scored on different {what.removeprefix('num_')}")


def _record_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")
