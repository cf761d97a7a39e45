"""Subsets of a training split: the fraction with labels, the images outside it, and the fold that is left out.

Choices depend on the sample ids and the labels, never on a seed or on the order of the images. An image's stratum is
the rarest class (in pixels of the whole split) that occurs in it; images without a labelled pixel are one more stratum.
Inside a stratum the images are ordered by the hash of their id. A fraction takes the first images of one order of the
whole split, so smaller fractions lie within larger ones; in that order the strata alternate so that its first m images
hold each stratum's share to within one image, for every m. Images are assigned to folds stratum by stratum, one to each
fold in turn.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segbench.plan.cell import Subset

    from .cache import PackedSplit


class Places(NamedTuple):
    """Places in the training split, ascending: to train on, outside the labelled fraction, in the fold left out."""

    labelled: tuple[int, ...]
    unlabelled: tuple[int, ...]
    held_out: tuple[int, ...]


def split_places(packed: PackedSplit, subset: Subset) -> Places:
    """Return where the images of a subset lie in a split.

    A fraction of n images is the nearest whole number of them, at least 1. Raises DataError if there are fewer
    labelled images than folds.
    """
    everything = tuple(range(len(packed)))
    if subset.fraction == 1 and not subset.is_fold:
        return Places(everything, (), ())
    strata = _strata(packed)
    count = max(1, math.floor(subset.fraction * len(packed) + 0.5))
    labelled = everything if subset.fraction == 1 else tuple(sorted(interleave(strata)[:count]))
    unlabelled = tuple(sorted(set(everything).difference(labelled)))
    held_out = _fold(packed, strata, labelled, subset)
    return Places(tuple(sorted(set(labelled).difference(held_out))), unlabelled, held_out)


def interleave(strata: Sequence[Sequence[int]]) -> list[int]:
    """Merge strata into one order whose first m images hold each stratum's share to within one image, for every m.

    The scheduling of Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980): after m of n images,
    a stratum of s images has given x, and its deficit is m * s / n - x. Of the k strata whose deficit is at least
    1 / (2k - 2), the one whose deficit would reach 1 - 1 / (2k - 2) soonest is next; of equal ones the first.

    >>> interleave([[0, 1, 2, 3], [4, 5]])
    [0, 4, 1, 2, 5, 3]
    """
    sizes = np.array([len(stratum) for stratum in strata])
    total, parts = int(sizes.sum()), max(2 * len(strata) - 2, 1)
    taken = np.zeros_like(sizes)
    order = []
    for number in range(1, total + 1):
        deficits = (sizes * number - taken * total) * parts  # whole numbers, in units of 1 / (total * parts)
        wait = np.where(deficits >= total, (total * (parts - 1) - deficits) / sizes, np.inf)
        chosen = int(wait.argmin())
        order.append(strata[chosen][taken[chosen]])
        taken[chosen] += 1
    return order


def _strata(packed: PackedSplit) -> list[list[int]]:
    """Return the images by stratum, each in the order of the hashes, the strata by the hash of their first image."""
    rarest = rarest_classes(packed.image_class_pixels > 0, packed.class_pixels())
    strata: dict[int, list[int]] = {}
    for place in sorted(range(len(packed)), key=lambda place: hash_of(packed.ids[place])):
        strata.setdefault(rarest[place], []).append(place)
    return list(strata.values())


def rarest_classes(presence: NDArray[np.bool_], class_pixels: NDArray[np.int64]) -> list[int]:
    """Return the class with the fewest pixels, (K,), of those that are present, (n, K); K where none is."""
    by_rarity = np.argsort(class_pixels, kind="stable")
    ranked = presence[:, by_rarity]
    return np.where(ranked.any(axis=1), by_rarity[ranked.argmax(axis=1)], len(class_pixels)).tolist()  # type: ignore[no-any-return]


def _fold(
    packed: PackedSplit, strata: Sequence[Sequence[int]], labelled: tuple[int, ...], subset: Subset
) -> tuple[int, ...]:
    """Return the labelled images of the fold that is left out; none if no fold is."""
    if subset.fold is None or subset.folds is None:
        return ()
    if subset.folds > len(labelled):
        raise _too_many_folds(packed, len(labelled), subset)
    kept = set(labelled)
    in_order = [place for stratum in strata for place in stratum if place in kept]
    return tuple(sorted(in_order[subset.fold - 1 :: subset.folds]))


def _too_many_folds(packed: PackedSplit, count: int, subset: Subset) -> DataError:
    images = f"{count} labelled image{'s' if count > 1 else ''}"
    cure = f"set refines.folds to at most {count}, or use more images"
    if subset.fraction < 1:
        images += f" at the fraction {subset.fraction:g} of its {len(packed)}"
        cure = "use more images or a larger labels.fraction"
    return DataError(f"split {packed.split!r} has {images}, which cannot be divided into {subset.folds} folds; {cure}")


def hash_of(sample_id: str) -> bytes:
    """Return what the order of images depends on."""
    return hashlib.sha256(sample_id.encode()).digest()
