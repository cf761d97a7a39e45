"""What people can be asked about: the images of which all methods kept the label map they predicted, as pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import DataError, RecordError
from segbench.report.comparison.rankings import find_rankings, narrow
from segbench.report.page.embedding import jpeg, shrink
from segbench.report.page.maps import shrink_labels
from segbench.report.ranking.groups import rank_records
from segbench.report.ranking.pooling import pool_folds
from segbench.report.records import read_sources
from segbench.report.selection import parse_selector
from segbench.stats.evidence import common_seeds
from segbench.stats.scores import boundary_iou, image_miou, mean
from segbench.store.description import DATASET, read_description
from segbench.store.pictures import find_picture, read_kept_labels, read_kept_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.report.ranking.groups import Group
    from segbench.report.ranking.rows import Row
    from segbench.report.records import Sources
    from segbench.store.counts import Counts
    from segbench.store.description import DatasetDescription

    LabelMap = NDArray[Any]


# Of every benchmark; what a message tells to those who want more.
KEEP_MORE = "to have more, set `protocol.keep.samples` to their number and run the benchmark again in a new folder"


@dataclass(frozen=True)
class Cell:
    """One method with one seed: the folders of its files, one for each test fold, and the counts of its images."""

    key: str
    folders: tuple[Path, ...]
    counts: Counts

    def picture(self, image: str, kind: str = "") -> Path:
        """Return the path of a picture of an image."""
        return find_picture(self.folders, image, kind)

    def scores(self, image: str) -> tuple[float | None, float | None]:
        """Return mIoU and Boundary IoU of one image over its classes; None where it has none."""
        place = self.counts.ids.index(image)
        boundary = self.counts.boundary
        of_boundary = None if boundary is None else mean(boundary_iou(boundary[place : place + 1]))
        return mean(image_miou(self.counts.confusion[place : place + 1])), of_boundary

    def accuracy(self, image: str) -> float:
        """Return the share of the image's pixels that are right; 0 where none is labelled."""
        confusion = self.counts.confusion[self.counts.ids.index(image)]
        return float(confusion.trace() / max(1, confusion.sum()))


class View(NamedTuple):
    """An image with the cells of one seed, in the order of the methods; `unit` is its cluster, or itself."""

    image: str
    unit: str
    seed: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Material:
    """What some methods kept: the cells of each common seed in the order of the methods, and the images of them all.

    `folder` is that of the benchmark, which the records of the first method lie in.
    """

    group: Group
    methods: tuple[str, ...]
    cells: dict[int, tuple[Cell, ...]]
    images: tuple[str, ...]
    description: DatasetDescription
    folder: Path


def find_material(
    directories: Sequence[Path], names: Sequence[str], *, benchmark: str | None = None, dataset: str | None = None
) -> Material:
    """Find what some methods kept, each named as in `segbench compare`.

    Raises RecordError if one is unknown, if they are in no common ranking or in several, or have no picture in common;
    StatisticsError if they have no seed in common or must not be compared.
    """
    selectors = [parse_selector(name) for name in names]
    own = [selector.folder for selector in selectors if selector.folder]
    read = read_sources(list(dict.fromkeys([*own, *directories])), benchmark)
    sources = narrow(pool_folds(read), dataset, None)
    groups = rank_records(sources)
    shared = [find_rankings(sources, groups, selectors[0], other)[0] for other in selectors[1:]]
    common = [group for group in groups if all(any(one.group is group for one in found) for found in shared)]
    if len(common) != 1:
        raise RecordError(_say_where(common, names))
    of_group = [next(one for one in found if one.group is common[0]) for found in shared]
    return _collect(common[0], (of_group[0].one, *(one.other for one in of_group)), sources)


def _collect(group: Group, rows: Sequence[Row], sources: Sources) -> Material:
    seeds = common_seeds({row.name: row.seeds for row in rows})
    cells = {seed: tuple(_cell(row, seed, sources) for row in rows) for seed in seeds}
    first = cells[seeds[0]][0]
    place = first.folders[0]
    images = tuple(sorted(image for image in first.counts.ids if _is_kept(image, cells)))
    if not images:
        names = ", ".join(row.name for row in rows)
        raise RecordError(f"{names} have kept no picture in common in {place.parent}; {KEEP_MORE}")
    methods = tuple(row.name for row in rows)
    return Material(group, methods, cells, images, read_description(place / DATASET), place.parent)


def _cell(row: Row, seed: int, sources: Sources) -> Cell:
    record = next(record for record in row.records if record.seed == seed)
    return Cell(record.key, tuple(sources.folders_of(record)), sources.counts(record))


def _is_kept(image: str, cells: dict[int, tuple[Cell, ...]]) -> bool:
    found = [cell for of_seed in cells.values() for cell in of_seed]
    has_panel = any(cell.picture(image, ".panel").is_file() for cell in found)
    return has_panel and all(image in cell.counts.ids and cell.picture(image).is_file() for cell in found)


def choose_views(material: Material, images: int, seed: int, *, each_seed: bool = False) -> list[View]:
    """Return views of some of the images, drawn by a seed; each has one training seed, in turn, or every one.

    What is drawn for fewer images is the beginning of what is drawn for more.
    """
    drawn = sorted(material.images, key=lambda image: in_order(seed, image))[:images]
    clusters = next(iter(material.cells.values()))[0].counts
    units = dict(zip(clusters.ids, clusters.clusters or clusters.ids, strict=True))
    seeds = list(material.cells)
    return [
        View(image, units[image], of_seed, material.cells[of_seed])
        for place, image in enumerate(drawn)
        for of_seed in (seeds if each_seed else [seeds[place % len(seeds)]])
    ]


def in_order(*parts: object) -> str:
    """Return a hash to sort by: an order that looks random, and is the same on every machine and in every version."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _say_where(common: Sequence[Group], names: Sequence[str]) -> str:
    if not common:
        return f"{', '.join(names)} are in no common ranking; see `segbench report`"
    places = "; ".join(f"{one.data.benchmark} / {one.data.dataset}, {one.data.heading}" for one in common)
    return f"{', '.join(names)} are together in {len(common)} rankings ({places}); choose with --benchmark or --dataset"


# Larger pictures are made smaller: half a screen shows no more pixels.
_LONGEST = 1024


def read_labels(view: View) -> list[LabelMap]:
    """Return the label maps of a view in the order of its methods, (H, W), of a size to be shown.

    Raises DataError for one that cannot be read, or that has another size than the others.
    """
    found = [read_kept_labels(cell.picture(view.image)) for cell in view.cells]
    if len({labels.shape for labels in found}) > 1 or found[0].ndim != 2:
        raise DataError(f"{view.cells[0].picture(view.image)}: it is no label map of the size of the other methods'")
    return [shrink_labels(labels, _LONGEST) for labels in found]


def image_address(view: View) -> str:
    """Return the image of a view, a part of a panel, as a data URI; DataError if the panel cannot be read."""
    from PIL import Image

    from segbench.engine.pictures.drawing import split_panel

    panel = next(path for cell in view.cells if (path := cell.picture(view.image, ".panel")).is_file())
    height = len(read_kept_labels(view.cells[0].picture(view.image)))
    image, _ = split_panel(read_kept_picture(panel), height)
    return jpeg(shrink(Image.fromarray(image), _LONGEST))


def spoil(labels: LabelMap, classes: int) -> LabelMap:
    """Return a label map that is clearly worse: every class is the next one, and all of it is moved by a third."""
    import numpy as np

    shuffled = np.where(labels < classes, (labels + 1) % classes, labels)
    moved: LabelMap = np.roll(shuffled, [-(-side // 3) for side in labels.shape], axis=(0, 1)).astype(labels.dtype)
    return moved
