"""Which pixels of the truth belong to small objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

# COCO calls objects below 32 x 32 pixels small (T.-Y. Lin et al., ECCV 2014), in images of mostly 640 x 480.
SMALL_SHARE = 32**2 / (640 * 480)

# With the side neighbours alone a thin slanted object, such as a pole, would fall into pieces that count as small.
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def small_objects(truth: NDArray[np.integer[Any]], num_classes: int, ignore_index: int) -> NDArray[np.bool_]:
    """Tell which pixels of a label map (H, W) belong to objects smaller than 1/300 of the image.

    An object is a connected component (8 neighbours) of the pixels of one class; ignored pixels belong to none.

    >>> truth = np.zeros((20, 31), dtype=np.uint8)
    >>> truth[3, 4:6] = 1
    >>> np.argwhere(small_objects(truth, 2, 255)).tolist()
    [[3, 4], [3, 5]]
    """
    small = np.zeros(truth.shape, dtype=bool)
    codes = np.where(truth == ignore_index, 0, truth.astype(np.int32) + 1)
    for index, box in enumerate(ndimage.find_objects(codes, num_classes)):
        if box is not None:
            small[box] |= _small_components(codes[box] == index + 1, SMALL_SHARE * truth.size)
    return small


def _small_components(mask: NDArray[np.bool_], limit: float) -> NDArray[np.bool_]:
    """Tell which pixels of a mask lie in components of fewer than `limit` pixels."""
    components, _ = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    is_small = np.bincount(components.ravel()) < limit
    is_small[0] = False  # what is not in the mask
    found: NDArray[np.bool_] = is_small[components]
    return found
