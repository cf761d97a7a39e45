"""Count label maps against ground truth image by image, whether a network or another tool made them.

Counted are the confusion of all pixels, of pixels near a boundary and of pixels of small objects, the ignored pixels,
what Boundary IoU and boundary F1 are computed from, and on request surface distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from segbench.config.protocol import Boundaries

from .boundary import bands_between_classes, boundary_counts, encode, width_in_pixels
from .confusion import confusion_matrices
from .surface import surface_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.config.protocol import SurfaceDistances
    from segbench.engine.data.cache import PackedSplit


USUAL_BOUNDARIES = Boundaries()

# COCO calls objects below 32 x 32 pixels small (T.-Y. Lin et al., ECCV 2014), in images of mostly 640 x 480.
SMALL_SHARE = 32**2 / (640 * 480)

# With the side neighbours alone a thin slanted object, such as a pole, would fall into pieces that count as small.
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Rules:
    """How label maps are counted: the number of classes, the ignored label, the width of boundaries."""

    num_classes: int
    ignore_index: int
    boundaries: Boundaries = USUAL_BOUNDARIES
    surface_distances: SurfaceDistances | None = None


def label_counts(
    prediction: torch.Tensor, truth: torch.Tensor, small: torch.Tensor, rules: Rules
) -> dict[str, torch.Tensor]:
    """Return, under their names in `Counts`, what is counted of label maps (N, H, W) of one size.

    All are on one device, which is waited for only where surface distances are asked for. `small` are the pixels of
    small objects, bool (N, H, W).
    """
    num_classes, ignore_index = rules.num_classes, rules.ignore_index
    depth, tolerance = (
        width_in_pixels(share, *truth.shape[1:])
        for share in (rules.boundaries.iou_width, rules.boundaries.f1_tolerance)
    )
    maps = encode(prediction, truth, num_classes, ignore_index)
    bands = bands_between_classes(maps, depth)
    near_boundary, in_small = (truth.masked_fill(~part, ignore_index) for part in (bands[: len(truth)], small))
    counts = {
        "confusion": confusion_matrices(prediction, truth, num_classes, ignore_index),
        "void": (truth == ignore_index).sum(dim=(1, 2)),
        "boundary": boundary_counts(maps, bands, depth, tolerance),
        "band": confusion_matrices(prediction, near_boundary, num_classes, ignore_index),
        "small": confusion_matrices(prediction, in_small, num_classes, ignore_index),
    }
    if rules.surface_distances is not None:
        counts["surface"] = surface_distances(maps, rules.surface_distances.tolerance)
    return counts


def find_small_objects(packed: PackedSplit, indices: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return the pixels of small objects in images of one size, bool (N, H, W) on the device.

    They are found on the host, while a CUDA device computes.
    """
    maps = [mark_small_objects(packed.labels(index), packed.num_classes, packed.ignore_index) for index in indices]
    small = torch.from_numpy(np.stack(maps))
    if device.type == "cuda":
        small = small.pin_memory()
    return small.to(device, non_blocking=True)


def mark_small_objects(truth: NDArray[np.integer[Any]], num_classes: int, ignore_index: int) -> NDArray[np.bool_]:
    """Tell which pixels of a label map (H, W) belong to objects smaller than 1/300 of the image.

    An object is a connected component (8 neighbours) of the pixels of one class; ignored pixels belong to none.

    >>> truth = np.zeros((20, 31), dtype=np.uint8)
    >>> truth[3, 4:6] = 1
    >>> np.argwhere(mark_small_objects(truth, 2, 255)).tolist()
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


def concatenate(parts: Iterable[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    """Return the counts of all images as arrays on the host, in order, from those of batches."""
    first, *others = parts
    return {
        name: torch.cat([values, *(other[name] for other in others)]).cpu().numpy() for name, values in first.items()
    }
