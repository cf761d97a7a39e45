"""Which cells and images a page shows pictures of, and in what order: the largest differences of two methods first.

The two methods are those of the first claim whose cells kept pictures, else the two best ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from segbench.errors import RecordError
from segbench.report.records import Sources
from segbench.store.pictures import SAMPLES, find_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from segbench.report.ranking.groups import Group, Report
    from segbench.report.ranking.rows import Row
    from segbench.store.counts import Counts
    from segbench.store.record import Record


# More methods than these are not seen side by side.
MOST_METHODS = 10


class ShownCell(NamedTuple):
    """A method's cell whose pictures are shown: the name of its row, its record, folders, counts, and mIoU by image.

    There is a folder for each test fold of a cross-validated one.
    """

    name: str
    record: Record
    folders: tuple[Path, ...]
    counts: Counts
    miou: Mapping[str, float]

    def picture(self, image: str, kind: str = "") -> Path:
        """Return the path of a picture of an image."""
        return find_picture(self.folders, image, kind)

    @property
    def has_images(self) -> bool:
        """Whether it kept the images that it predicted."""
        return any(any((folder / SAMPLES).glob("*.panel.png")) for folder in self.folders)

    @property
    def kept(self) -> list[str]:
        """The images of which it kept what it predicts."""
        return [image for image in self.counts.ids if self.picture(image).is_file()]


class ShownImage(NamedTuple):
    """An image, and by how much the first of two methods is better there: a mean over seeds, in [-1, 1]."""

    id: str
    gain: float | None


@dataclass(frozen=True)
class Choice:
    """What to show of a ranking: cells side by side, all of one seed, and the images that they kept, in order.

    `source` is the cell that the images come from: submissions hold none. `better`, `worse` are the names of the two
    methods whose difference orders the images, over `seeds`; without a second one those come first on which the method
    is worst.
    """

    seed: int
    cells: tuple[ShownCell, ...]
    source: ShownCell
    images: tuple[ShownImage, ...] = ()
    better: str = ""
    worse: str = ""
    seeds: tuple[int, ...] = ()


def choose_pictures(report: Report, group: Group) -> Choice | None:
    """Return what to show of a ranking; None if none of its cells kept pictures of what it predicts."""
    found = {row.name: records for row in group.rows if (records := _records_with_pictures(report, row))}
    if not found:
        return None
    # The seed of which most methods kept pictures, so that they are shown side by side.
    seeds = Counter(seed for records in found.values() for seed in records)
    seed = min(seeds, key=lambda one: (-seeds[one], one))
    rows = {row.name: row for row in _order_rows(group, found) if seed in found[row.name]}
    read = (_read_cell(report, name, found[name][seed]) for name in list(rows)[:MOST_METHODS])
    cells = tuple(cell for cell in read if cell)
    source = next((cell for cell in cells if cell.has_images), None)
    if source is None:
        return None
    if len(cells) > 1 and (gains := _gains(report, rows[cells[1].name], rows[cells[0].name])):
        return _by_gain(Choice(seed, cells, source), gains, rows)
    images = sorted(source.kept, key=lambda image: cells[0].miou.get(image, 1.0))
    return Choice(seed, cells, source, tuple(ShownImage(image, None) for image in images), cells[0].name)


def _by_gain(choice: Choice, gains: Mapping[str, float], rows: Mapping[str, Row]) -> Choice:
    """Return the choice with the images on which its first two cells differ most first."""
    worse, better = (cell.name for cell in choice.cells[:2])
    images = [ShownImage(image, gains.get(image)) for image in choice.source.kept]
    images.sort(key=lambda image: -abs(image.gain or 0.0))
    seeds = tuple(sorted({*rows[worse].seeds} & {*rows[better].seeds}))
    return replace(choice, images=tuple(images), better=better, worse=worse, seeds=seeds)


def _order_rows(group: Group, found: Mapping[str, object]) -> Iterable[Row]:
    """Return the rows with pictures: the twin, what claims to be better, its placebos, then the others, best first."""
    rows = [row for row in group.rows if row.name in found]
    claims = [one for one in group.comparisons if one.relation in ("twin", "claim") and one.other]
    claim = next((one for one in claims if one.other and {one.row.name, one.other.name} <= found.keys()), None)
    if claim is None or claim.other is None:
        # The best two, the better one as what claims it.
        return [*reversed(rows[:2]), *rows[2:]]
    first = [claim.other.name, claim.row.name, *(row.name for row in rows if row.placebo_of == claim.row.method)]
    return sorted(rows, key=lambda row: first.index(row.name) if row.name in first else len(first))


def _records_with_pictures(report: Report, row: Row) -> dict[int, Record]:
    """Return the records of a row, by seed, that kept label maps."""
    return {
        record.seed: record
        for record in row.records
        if record.scores and any((folder / SAMPLES).is_dir() for folder in report.folders_of(record))
    }


def _read_cell(report: Report, name: str, record: Record) -> ShownCell | None:
    from segbench.stats.scores import image_miou, numbers

    folders, counts = report.folders_of(record), _counts_by_seed(report, [record]).get(record.seed)
    if counts is None:
        return None
    scores = zip(counts.ids, numbers(image_miou(counts.confusion)), strict=True)
    return ShownCell(name, record, folders, counts, {image: score for image, score in scores if score is not None})


def _gains(report: Report, one: Row, other: Row) -> dict[str, float]:
    """Return by image the mean over common seeds of the difference in per-image mIoU; empty if there is none."""
    from segbench.stats.gains import image_gains

    read = [_counts_by_seed(report, row.records) for row in (one, other)]
    if not read[0].keys() & read[1].keys():
        return {}
    return {gain.image: gain.difference.mean or 0.0 for gain in image_gains(read[0], read[1])}


def _counts_by_seed(report: Report, records: Sequence[Record]) -> dict[int, Counts]:
    sources = Sources((), report.folders, (), report.cell_folders)
    there = [record for record in records if report.folders_of(record)]
    found = zip(there, sources.confusions(there), strict=True)
    return {record.seed: counts for record, counts in found if not isinstance(counts, RecordError)}
