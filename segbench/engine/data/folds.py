"""Cross-validation: the images of some splits, the pool, are divided into folds, of which a cell is tested on one.

Folds depend on the sample ids and the labels, never on a seed, a method or the order of the images. Images of one
cluster, and copies of an image, stay in one fold. The stratum of such a group is the rarest class (in pixels of the
whole pool) that occurs in it. The largest groups are placed first, equally large ones stratum by stratum in the order
of their hashes, each into the fold that has the fewest images, those of its stratum counted twice. So folds of images
without groups differ by one image at most, in all and in each stratum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from segbench.contract import Sample
from segbench.errors import DataError
from segbench.images.on_disk import array_on_disk
from segbench.plan.cell import Subset

from .cache import PackedSplit, refuse_absent
from .contents import SplitContents
from .samples import clusters_of
from .subset import hash_of, rarest_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.config.folds import Folds
    from segbench.contract import Dataset
    from segbench.plan.cell import Cell


# More bytes of a fold than this are copied on to a disk instead of into memory.
MOST_BYTES_COPIED = 2**30


class Folded(NamedTuple):
    """A dataset whose splits are those of a cell with a test fold, and the pixels of those that came from the pool.

    `resized` are those as they are resized, empty where nothing is.
    """

    dataset: Dataset
    packed: dict[str, PackedSplit]
    resized: dict[str, PackedSplit]


def fold_dataset(
    dataset: Dataset,
    folds: Folds,
    cell: Cell,
    open_split: Callable[[str], PackedSplit],
    open_resized: Callable[[str], PackedSplit] | None = None,
) -> Folded:
    """Return what a cell has of a cross-validated dataset: its fold as test, the rest of the pool as train.

    With `folds.val` the fold after its own is val, and not in train. A val split outside the pool is there too, other
    splits outside it are not. `open_resized` opens splits as they are resized, if they are. Raises DataError if there
    are fewer groups of images than folds, if the images have two depths, and if the cell's protocol refuses absent
    classes and the training images of any fold lack one.
    """
    number = Subset.parse(cell.subset).test_fold
    assert number is not None
    pool = Pool(dataset, [open_split(name) for name in folds.splits_in(dataset.splits)])
    divided = pool.divide(folds.count)
    assigned = [_assign(divided, tested, folds) for tested in range(folds.count)]
    if cell.method.protocol.absent_classes == "refuse":
        for tested, places in enumerate(assigned, 1):
            pool.check_classes(places["train"], f"the training images of test fold {tested}/{folds.count}")
    places = assigned[number - 1]
    apart = {name: split for name, split in dataset.splits.items() if name == "val" and name not in pool.names}
    chosen = {name: _ChosenSamples(pool, among) for name, among in places.items()}
    folded = replace(dataset, splits={**apart, **chosen}, cluster=dataset.cluster and pool.cluster)
    seen = {name: open_resized(name) for name in pool.names} if open_resized else {}
    return Folded(
        folded,
        {name: pool.choose(name, among) for name, among in places.items()},
        {name: pool.choose(name, among, seen) for name, among in places.items() if seen},
    )


def _assign(divided: Sequence[Sequence[int]], tested: int, folds: Folds) -> dict[str, list[int]]:
    """Return the places of the images of each split, where the fold at `tested` is test."""
    held_out = {"test": divided[tested], **({"val": divided[(tested + 1) % len(divided)]} if folds.val else {})}
    train = {place for fold in divided for place in fold}.difference(*held_out.values())
    return {name: sorted(places) for name, places in {"train": train, **held_out}.items()}


class Pool:
    """The images of several splits, one split after the other.

    `ids` are unique: where one stands in two splits, all are written SPLIT/ID. `origins` are the split of each image
    and its place there.
    """

    def __init__(self, dataset: Dataset, splits: Sequence[PackedSplit]) -> None:
        if len({split.image_dtype for split in splits}) > 1:
            depths = ", ".join(f"{split.split} {split.image_dtype}" for split in splits)
            raise DataError(f"the splits {depths} cannot be pooled for folds; convert all images to one depth")
        self.dataset = dataset
        self.splits = {split.split: split for split in splits}
        self.names = tuple(self.splits)
        self.origins = [(split, place) for split in splits for place in range(len(split))]
        own = [split.ids[place] for split, place in self.origins]
        written = [f"{split.split}/{split.ids[place]}" for split, place in self.origins]
        self.ids = own if len(set(own)) == len(own) else written
        self._own_ids = dict(zip(self.ids, own, strict=True))
        self._pixels = np.concatenate([split.image_class_pixels for split in splits])

    def cluster(self, one: str) -> str:
        """Return the cluster of an image by its id in the pool, or in a split outside it."""
        assert self.dataset.cluster is not None
        return self.dataset.cluster(self._own_ids.get(one, one))

    def divide(self, count: int) -> list[list[int]]:
        """Return the places of the images in each of `count` folds; DataError if there are fewer groups than that."""
        groups = self._groups()
        if len(groups) < count:
            raise self._too_many_folds(count, len(groups))
        presence = np.array([self._pixels[group].any(axis=0) for group in groups])
        strata = rarest_classes(presence, self._pixels.sum(axis=0))
        order = sorted(range(len(groups)), key=lambda group: (-len(groups[group]), strata.index(strata[group])))
        folds: list[list[int]] = [[] for _ in range(count)]
        images = np.zeros((count, len(self.dataset.classes) + 1), dtype=np.int64)  # by fold and stratum
        for group in order:
            chosen = int((images.sum(axis=1) + images[:, strata[group]]).argmin())
            folds[chosen] += groups[group]
            images[chosen, strata[group]] += len(groups[group])
        return folds

    def _groups(self) -> list[list[int]]:
        """Return the places of the images that must stay together (of one cluster, equal), ordered by their hashes."""
        copies = [split.contents.digests[place] for split, place in self.origins]
        clusters = clusters_of(replace(self.dataset, cluster=self.dataset.cluster and self.cluster), self.ids)
        groups = join_groups(len(self.ids), [copies, *([clusters] if clusters else [])])
        return sorted(groups, key=lambda group: min(hash_of(self.ids[place]) for place in group))

    def _too_many_folds(self, count: int, groups: int) -> DataError:
        pool = f"the {len(self.ids)} images of {', '.join(self.names)}"
        kept = "" if groups == len(self.ids) else f" are {groups} groups that must stay together (clusters, copies) and"
        return DataError(f"{pool}{kept} cannot be divided into {count} folds; set folds to at most {groups}")

    def check_classes(self, places: Sequence[int], where: str) -> None:
        """Raise DataError naming the classes that never occur in some of the images; `where` says which these are."""
        refuse_absent(self._pixels[places].sum(axis=0), self.dataset.classes, f"{where} (images: {len(places)})")

    def choose(self, name: str, places: Sequence[int], splits: Mapping[str, PackedSplit] | None = None) -> PackedSplit:
        """Return some of the images as a split of their own, their pixels copied; `splits` are other forms of all."""
        splits = splits or self.splits
        origins = [(splits[split.split], place) for split, place in (self.origins[place] for place in places)]
        contents = [split.contents for split in splits.values()]
        class_pixels = np.sum([split.image_class_pixels[place] for split, place in origins], axis=0)
        index = next(iter(splits.values())).index.model_copy(
            update={
                "split": name,
                "ids": tuple(self.ids[place] for place in places),
                "sizes": tuple(split.index.sizes[place] for split, place in origins),
                "class_pixels": tuple(class_pixels.tolist()),
                "contents": SplitContents(
                    lowest=min(one.lowest for one in contents),
                    highest=max(one.highest for one in contents),
                    digests=tuple(split.contents.digests[place] for split, place in origins),
                ),
            }
        )
        pixels = _join([split.image(place).ravel() for split, place in origins])
        return PackedSplit(index, pixels, _join([split.labels(place).ravel() for split, place in origins]))


def _join(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return flat arrays one after the other: copied into memory, or on to a disk where they are many bytes."""
    length = sum(len(part) for part in parts)
    if length * parts[0].itemsize <= MOST_BYTES_COPIED:
        return np.concatenate(parts)
    joined, start = array_on_disk([length], parts[0].dtype), 0
    for part in parts:
        joined[start : start + len(part)] = part
        start += len(part)
    return joined


class _ChosenSamples:
    """Some samples of a pool as the dataset decodes them, by their ids in the pool."""

    def __init__(self, pool: Pool, places: Sequence[int]) -> None:
        self._pool, self._places = pool, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int, /) -> Sample:
        place = self._places[index]
        split, origin = self._pool.origins[place]
        return Sample(*self._pool.dataset.splits[split.split][origin])._replace(id=self._pool.ids[place])


def join_groups(length: int, labellings: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the places from 0 to `length` in groups; those that are labelled alike in any labelling are in one.

    >>> join_groups(5, [["a", "b", "c", "b", "d"], ["x", "y", "x", "z", "w"]])
    [[0, 2], [1, 3], [4]]
    """
    leaders = list(range(length))

    def leader(place: int) -> int:
        while leaders[place] != place:
            leaders[place] = place = leaders[leaders[place]]
        return place

    for labels in labellings:
        first: dict[str, int] = {}
        for place, label in enumerate(labels):
            pair = leader(place), leader(first.setdefault(label, place))
            leaders[max(pair)] = min(pair)
    groups: dict[int, list[int]] = {}
    for place in range(length):
        groups.setdefault(leader(place), []).append(place)
    return list(groups.values())
