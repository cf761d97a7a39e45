"""The numbers behind scores, for several methods on the same seeds and images: the input of all intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from segbench.errors import StatisticsError, alternatives
from segbench.store.counts import BoundaryCount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.store.counts import Counts

    Cells = Mapping[str, Mapping[int, Counts]]
    Shares = tuple[NDArray[np.int64], NDArray[np.int64]]


Part = Literal["all", "band", "interior"]
Value = TypeVar("Value")
Objects = Literal["small", "large"]
# Of BoundaryCount, what Boundary IoU is made of.
_BANDS = ("intersection", "truth", "prediction")


@dataclass(frozen=True)
class Evidence:
    """Hits and wholes by method, seed, image and class: int64 arrays of shape (methods, seeds, images, classes).

    The score of a method with one seed is the mean, over the classes with a whole above 0, of the sum of hits over the
    images divided by the sum of wholes: with unions as wholes that is mIoU, with pixels of the truth mean recall.
    `clusters`, if given, names the group of each image; images of one group are drawn together. `folds`, if given, is
    the test fold of each image: a seed is then a network for each fold, and all of these start independently.
    """

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    images: tuple[str, ...]
    hits: NDArray[np.int64]
    whole: NDArray[np.int64]
    clusters: tuple[str, ...] | None = None
    folds: tuple[int, ...] | None = None

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return int(self.hits.shape[3])

    def of(self, *methods: str) -> Evidence:
        """Return the evidence of some of the methods, in the order given; StatisticsError if one is not there."""
        indices = [self.index_of(method) for method in methods]
        return replace(self, methods=methods, hits=self.hits[indices], whole=self.whole[indices])

    def of_classes(self, classes: Sequence[int]) -> Evidence:
        """Return the evidence of some of the classes, by their ids in [0, num_classes)."""
        chosen = list(classes)
        return replace(self, hits=self.hits[..., chosen], whole=self.whole[..., chosen])

    def index_of(self, method: str) -> int:
        """Return the index of a method on the first axis; StatisticsError if it is not there."""
        if method not in self.methods:
            unknown = f"nothing was counted of {method!r}.{alternatives(method, self.methods)}"
            raise StatisticsError(unknown).among(self.methods)
        return self.methods.index(method)


def iou_evidence(counts: Cells, part: Part = "all", classes: Sequence[int] | None = None) -> Evidence:
    """Return the evidence for mIoU: hits are a class's true positives, wholes its union of truth and prediction.

    `counts` are those of each method by seed; only the seeds that all methods have are taken. `part` "band" takes the
    pixels near a true boundary, "interior" all others. `classes` takes some classes only. Seeds and images are sorted,
    so that the order of what is given changes nothing.
    Raises StatisticsError if the methods have no seed in common, if images or classes differ, or if the part was not
    counted.
    """
    return _evidence(counts, lambda cell: _iou(_part_of_the_image(cell, part)), f"part {part!r}", classes)


def recall_evidence(counts: Cells, part: Objects, classes: Sequence[int] | None = None) -> Evidence:
    """Return the evidence for the share of pixels found on small or on large objects, averaged over classes.

    Hits are a class's true positives on objects of that kind, wholes its pixels in the truth there. Else as
    `iou_evidence`.
    """
    return _evidence(counts, lambda cell: _recall(_objects(cell, part)), f"part {part!r}", classes)


def boundary_evidence(counts: Cells, classes: Sequence[int] | None = None) -> Evidence:
    """Return the evidence for Boundary IoU: hits are pixels in both bands, wholes the union of the bands.

    B. Cheng et al., "Boundary IoU", CVPR 2021. Else as `iou_evidence`.
    """
    return _evidence(counts, _boundary, "Boundary IoU", classes)


def common_seeds(counts: Mapping[str, Iterable[int]]) -> tuple[int, ...]:
    """Return the seeds that all methods have, sorted; StatisticsError if there are none.

    >>> common_seeds({"a": [2, 0, 1], "b": [1, 2, 3]})
    (1, 2)
    """
    seeds = set.intersection(*map(set, counts.values())) if counts else set()
    if not seeds:
        have = "; ".join(
            f"{method}: {', '.join(map(str, sorted(found))) or 'none'}" for method, found in counts.items()
        )
        raise StatisticsError(f"no seed in common ({have}); run all methods with the same seeds")
    return tuple(sorted(seeds))


def _evidence(
    counts: Cells, shares: Callable[[Counts], Shares | None], wanted: str, classes: Sequence[int] | None
) -> Evidence:
    """Put the shares of all cells into one array, the images of each in the same order; reads each cell once."""
    seeds = common_seeds(counts)
    cells = ((f"{method} with seed {seed}", by_seed[seed]) for method, by_seed in counts.items() for seed in seeds)
    first: _Layout | None = None
    found = []
    for name, cell in cells:
        if first is None:
            first = _Layout.of(name, cell)
        else:
            first.check(name, cell)
        share = shares(cell)
        if share is None:
            raise StatisticsError(f"{wanted} was not counted of {name}; run that cell again to have it counted")
        found.append(np.stack(share)[:, np.argsort(cell.ids)])
    assert first is not None  # there is a seed, so there is a cell
    array = np.stack(found).reshape(len(counts), len(seeds), *found[0].shape)
    evidence = Evidence(tuple(counts), seeds, first.images, array[:, :, 0], array[:, :, 1], first.clusters, first.folds)
    return evidence if classes is None else evidence.of_classes(classes)


@dataclass(frozen=True)
class _Layout:
    """What all cells must have in common, as the first of them has it; images sorted."""

    name: str
    images: tuple[str, ...]
    split: str
    num_classes: int
    clusters: tuple[str, ...] | None
    folds: tuple[int, ...] | None

    @classmethod
    def of(cls, name: str, cell: Counts) -> _Layout:
        images, clusters, folds = tuple(sorted(cell.ids)), _sort(cell.clusters, cell), _sort(cell.folds, cell)
        return cls(name, images, cell.split, cell.num_classes, clusters, folds)

    def check(self, name: str, cell: Counts) -> None:
        """Raise StatisticsError, saying what differs, if a cell cannot be compared with the first."""
        if cell.split != self.split:
            raise self._differ(name, "splits", self.split, cell.split)
        if cell.num_classes != self.num_classes:
            raise self._differ(name, "classes", str(self.num_classes), str(cell.num_classes))
        if tuple(sorted(cell.ids)) != self.images:
            raise self._other_images(name, cell)
        for what in ("clusters", "folds"):
            if _sort(getattr(cell, what), cell) != getattr(self, what):
                raise StatisticsError(
                    f"{self.name} and {name} group the images differently into {what}; run both with the same dataset"
                )

    def _differ(self, name: str, what: str, own: str, other: str) -> StatisticsError:
        return StatisticsError(
            f"{self.name} and {name} differ in {what} ({own} and {other}); compare cells of one protocol and dataset"
        )

    def _other_images(self, name: str, cell: Counts) -> StatisticsError:
        unshared = sorted(set(self.images) ^ set(cell.ids))
        example = f", for example {unshared[0]!r} is in one of them only" if unshared else ""
        return self._differ(name, "images", str(len(self.images)), f"{len(cell.ids)}{example}")


def _sort(values: tuple[Value, ...] | None, cell: Counts) -> tuple[Value, ...] | None:
    """Return what each image of a cell has in the order of the sorted images."""
    return None if values is None else tuple(values[i] for i in np.argsort(cell.ids))


def _part_of_the_image(cell: Counts, part: Part) -> NDArray[np.int64] | None:
    """Return the confusion counts of a part of the image, None if they were not counted."""
    if part == "all":
        return cell.confusion
    if cell.band is None:
        return None
    return cell.band if part == "band" else cell.confusion - cell.band


def _objects(cell: Counts, part: Objects) -> NDArray[np.int64] | None:
    """Return the confusion counts of small or of large objects, None if they were not counted."""
    if cell.small is None:
        return None
    return cell.small if part == "small" else cell.confusion - cell.small


def _iou(confusion: NDArray[np.int64] | None) -> Shares | None:
    if confusion is None:
        return None
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    return hits, confusion.sum(axis=1) + confusion.sum(axis=2) - hits


def _recall(confusion: NDArray[np.int64] | None) -> Shares | None:
    if confusion is None:
        return None
    return np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=2)


def _boundary(cell: Counts) -> Shares | None:
    """Return the pixels in both bands, and in either."""
    if cell.boundary is None:
        return None
    both, truth, prediction = (cell.boundary[:, :, BoundaryCount._fields.index(name)] for name in _BANDS)
    return both, truth + prediction - both
