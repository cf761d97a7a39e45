"""Whether two methods may be compared, and which of their counts can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError, StatisticsError
from segbench.report import cell_spec
from segbench.stats.definitions import RESIZED
from segbench.stats.health import find_constant_class
from segbench.stats.scores import miou

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from segbench.report.conditions import Scoring
    from segbench.report.records import Sources
    from segbench.store.counts import Counts
    from segbench.store.record import Record

    from .rows import Row


# What a record says of its mIoU and what its counts say may differ by rounding only.
ROUNDING = 1e-9
_ONE_FILE = "run both from one benchmark file, as it is now"
_SAME_DATA = "prepare the same data for both and run again what was run on other files"
_SAME_CONDITIONS = "run both under the same conditions"
_ONE_RESOLUTION = "score both at one resolution, such as `score_at: native`"
_AGAIN = "run what is older again with this segbench"


class Obstacle(NamedTuple):
    """A field in which two rows differ, so that they must not be compared: both values, and what to do about it."""

    field: str
    one: str
    other: str
    remedy: str

    def describe(self, one: str, other: str) -> str:
        """Return it in words, with the names of the two methods."""
        return f"{self.field}: {self.one} ({one}) and {self.other} ({other})"


class RowCounts(NamedTuple):
    """A row, marked with what its counts show, its counts by seed, and which records were ignored, each with why."""

    row: Row
    counts: dict[int, Counts]
    ignored: tuple[str, ...]


def find_obstacles(one: Row, other: Row) -> list[Obstacle]:
    """Return why two rows must not be compared by mIoU, what matters most first; empty if they may be.

    They must agree in benchmark, data, split, classes, the definition of mIoU, the conditions that scores depend
    on (segbench/report/conditions.py), and the protocol but for the keys that a method overrides. What one of them does
    not record is not compared.
    """
    found = [*_compare_data(one, other), *find_definition_obstacles(one, other, "miou")]
    if one.conditions is not None and other.conditions is not None:
        found += _compare_scoring(one.conditions.scoring, other.conditions.scoring)
        found += _compare_protocols(one.records[0], other.records[0])
    return found


def explain_refusal(one: Row, other: Row, found: Sequence[Obstacle]) -> str:
    """Return the message that names the fields in which two rows differ."""
    differences = "; ".join(obstacle.describe(one.name, other.name) for obstacle in found)
    remedies = ", and ".join(dict.fromkeys(obstacle.remedy for obstacle in found))
    return f"{one.name!r} and {other.name!r} cannot be compared because they differ in {differences}; {remedies}"


def read_counts(row: Row, sources: Sources) -> RowCounts:
    """Read the counts of a row's records; one whose counts cannot be read or are not its own is ignored."""
    counts: dict[int, Counts] = {}
    ignored = []
    for record in row.records:
        try:
            counts[record.seed] = read_own_counts(record, sources)
        except RecordError as error:
            ignored.append(f"{row.name}, seed {record.seed}: {error}")
    constant = {seed: find_constant_class(found.confusion.sum(axis=0)) for seed, found in counts.items()}
    marked = row.with_constant({seed: found for seed, found in constant.items() if found})
    return RowCounts(marked, counts, tuple(ignored))


def check_same_truth(cells: Mapping[str, Mapping[int, Counts]]) -> None:
    """Raise StatisticsError if the counts of some methods, by seed, are not of the same labelled pixels."""
    named = [(f"{name}, seed {seed}", counts) for name, by_seed in cells.items() for seed, counts in by_seed.items()]
    (first, one), *others = named
    for name, other in others:
        if wrong := _other_truth(one, other):
            raise StatisticsError(
                f"{first} and {name} were scored with different labels (image {wrong!r} holds other numbers of pixels "
                f"of the classes); {_SAME_DATA}"
            )


def _other_truth(one: Counts, other: Counts) -> str | None:
    """Return an image that both have and whose pixels by class of the truth differ."""
    theirs = dict(zip(other.ids, other.confusion.sum(axis=2).tolist(), strict=True))
    ours = zip(one.ids, one.confusion.sum(axis=2).tolist(), strict=True)
    return next((image for image, pixels in ours if theirs.get(image, pixels) != pixels), None)


def read_own_counts(record: Record, sources: Sources) -> Counts:
    """Return a record's counts; RecordError if they are of another split, other classes or other predictions."""
    return check_own(record, sources.counts(record))


def check_own(record: Record, counts: Counts | RecordError) -> Counts:
    """Return the counts if they are those of the record; RecordError if they are not, or could not be read."""
    if isinstance(counts, RecordError):
        raise counts
    claimed, found = record.scores.miou if record.scores else None, miou(counts.confusion.sum(axis=0))
    facts: list[tuple[str, object, object]] = [
        ("split", record.evaluated and record.evaluated.split, counts.split),
        ("number of images", record.evaluated and record.evaluated.images, len(counts.ids)),
        ("number of classes", record.per_class and len(record.per_class.iou), counts.num_classes),
    ]
    faults = [
        f"{name} {ours} in the record and {theirs} in the counts" for name, ours, theirs in facts if ours != theirs
    ]
    if claimed is not None and (found is None or abs(claimed - found) > ROUNDING):
        faults.append(
            f"mIoU {claimed:.6f} in the record and {'none' if found is None else f'{found:.6f}'} in the counts"
        )
    if faults:
        raise RecordError(
            f"its counts belong to something else ({'; '.join(faults)}); delete the record and run the cell again"
        )
    return counts


def _compare_data(one: Row, other: Row) -> Iterable[Obstacle]:
    fields: list[tuple[str, str, Callable[[Record], object]]] = [
        ("benchmark", _ONE_FILE, lambda record: record.benchmark),
        ("dataset", "choose a dataset that both were run on", lambda record: record.dataset),
        ("data fingerprint", _SAME_DATA, lambda record: (cell_spec.fingerprint(record) or "")[:12] or None),
        ("share of the labels", "run both with the same share", lambda record: cell_spec.subset_text(record.subset)),
        ("split", "score both on one split", cell_spec.split),
        ("cross-validation", _ONE_FILE, lambda record: cell_spec.folds_text(record) or "none"),
        ("number of images", _SAME_DATA, lambda record: record.evaluated and record.evaluated.images),
        ("number of classes", _SAME_DATA, lambda record: record.per_class and len(record.per_class.iou)),
        ("classes", _SAME_DATA, lambda record: _class_names(record)),
    ]
    for name, remedy, read in fields:
        yield from _compare_values(name, remedy, _values(one, read), _values(other, read))


def find_definition_obstacles(one: Row, other: Row, score: str) -> list[Obstacle]:
    """Return how two rows differ in the definition of a score; empty if they agree or one does not record it."""

    def read(record: Record) -> str | None:
        return cell_spec.definitions(record).get(score)

    ours, theirs = _values(one, read), _values(other, read)
    remedy = _ONE_RESOLUTION if any(RESIZED in text for text in (*ours, *theirs)) else _AGAIN
    return list(_compare_values(f"the definition of {score}", remedy, ours, theirs))


def _compare_scoring(one: Scoring, other: Scoring) -> Iterable[Obstacle]:
    fields: list[tuple[str, Callable[[Scoring], object]]] = [
        ("precision", lambda where: where.precision),
        ("TF32", lambda where: "on" if where.tf32 else "off"),
        ("evaluation", lambda where: f"sliding {where.window}" if where.window else "whole images"),
    ]
    for name, read in fields:
        yield from _compare_values(name, _SAME_CONDITIONS, _known([read(one)]), _known([read(other)]))


def _compare_protocols(one: Record, other: Record) -> Iterable[Obstacle]:
    """Compare what both have from the protocol of their benchmark, whose file may have been edited between two runs."""
    ours, theirs = cell_spec.shared_protocol(one), cell_spec.shared_protocol(other)
    for key in sorted(ours.keys() & theirs.keys()):
        if ours[key] != theirs[key]:
            yield Obstacle(f"protocol.{key}", str(ours[key]), str(theirs[key]), _ONE_FILE)


def _compare_values(name: str, remedy: str, one: list[str], other: list[str]) -> Iterable[Obstacle]:
    if one and other and len({*one, *other}) > 1:
        yield Obstacle(name, " and ".join(one), " and ".join(other), remedy)


def _values(row: Row, read: Callable[[Record], object]) -> list[str]:
    return _known(read(record) for record in row.records)


def _known(values: Iterable[object]) -> list[str]:
    """Return the distinct values that are known, in their order."""
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _class_names(record: Record) -> str | None:
    names = record.evaluated.classes if record.evaluated else None
    return ", ".join(names) if names else None
