"""Small objects of label maps too large to be labelled at once: found in bands of rows and joined across these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segbench.images.pixels import row_bands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Codes = NDArray[np.int32]

# With the side neighbours alone a thin slanted object, such as a pole, would fall into pieces that count as small.
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def label_codes(truth: NDArray[np.integer[Any]], ignore_index: int) -> Codes:
    """Return class id + 1 of each pixel, and 0 where it is ignored."""
    return np.where(truth == ignore_index, 0, truth.astype(np.int32) + 1)


def mark_in_bands(
    truth: NDArray[np.integer[Any]], num_classes: int, ignore_index: int, limit: float
) -> NDArray[np.bool_]:
    """Tell which pixels of a label map (H, W) belong to objects of fewer than `limit` pixels, bool (H, W)."""
    is_small = _find_small(truth, num_classes, ignore_index, limit)
    small = np.empty(truth.shape, dtype=bool)
    first = 0
    for rows, _, parts, number in _parts_in_bands(truth, num_classes, ignore_index):
        small[rows] = np.concatenate([[False], is_small[first : first + number]])[parts]
        first += number
    return small


def _find_small(
    truth: NDArray[np.integer[Any]], num_classes: int, ignore_index: int, limit: float
) -> NDArray[np.bool_]:
    """Tell of each part of an object, as they are numbered from band to band, whether the whole object is small."""
    sizes, links = [], [np.empty((2, 0), dtype=np.int64)]
    count, above = 0, None
    for _, codes, parts, number in _parts_in_bands(truth, num_classes, ignore_index):
        sizes.append(np.bincount(parts.ravel(), minlength=number + 1)[1:])
        if above is not None:
            links.append(_touching(*above, codes[0], parts[0] + (count - 1)))
        above = codes[-1].copy(), parts[-1] + (count - 1)
        count += number
    if count == 0:
        return np.empty(0, dtype=bool)
    one, other = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    objects = connected_components(graph, directed=False)[1]
    whole = np.bincount(objects, weights=np.concatenate(sizes))
    found: NDArray[np.bool_] = (whole < limit)[objects]
    return found


def _parts_in_bands(
    truth: NDArray[np.integer[Any]], num_classes: int, ignore_index: int
) -> Iterator[tuple[slice, Codes, NDArray[np.int64], int]]:
    """Yield rows, their codes, the connected part that each pixel is of, from 1 on (0: ignored), and their number."""
    for rows in row_bands(*truth.shape):
        codes = label_codes(truth[rows], ignore_index)
        parts, number = np.zeros(codes.shape, dtype=np.int64), 0
        for index, box in enumerate(ndimage.find_objects(codes, num_classes)):
            if box is not None:
                numbered, found = ndimage.label(codes[box] == index + 1, EIGHT_NEIGHBOURS)
                parts[box] += np.where(numbered > 0, numbered + number, 0)
                number += found
        yield rows, codes, parts, number


def _touching(above: Codes, parts_above: NDArray[Any], below: Codes, parts_below: NDArray[Any]) -> NDArray[np.int64]:
    """Return the pairs of parts (2, n) that touch between two rows, with the side or a corner of a pixel."""
    width, pairs = len(above), []
    for shift in (-1, 0, 1):
        here = slice(max(0, -shift), width - max(0, shift))
        there = slice(max(0, shift), width - max(0, -shift))
        same = (above[here] == below[there]) & (above[here] > 0)
        pairs.append(np.stack([parts_above[here][same], parts_below[there][same]]))
    return np.unique(np.concatenate(pairs, axis=1), axis=1)
