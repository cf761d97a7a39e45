"""What Boundary IoU and boundary F1 are made of: counts by image and class, for all classes of a batch at once.

The boundary band of a class is what d erosions by a 3x3 square take away from its pixels after zero padding of one
pixel (B. Cheng et al., "Boundary IoU", CVPR 2021): the pixels from which a pixel of another class, or the outside of
the image, is at most d rows and columns away. So one square window over the label map tells the bands of all classes.
Where the truth is ignored nothing is counted, in truth and prediction alike, and no boundary arises.

Which pixels of the truth belong to small objects.

Distances between true and predicted surfaces, by MONAI (the extra `medical`); for medical images, off by default.
"""

from __future__ import annotations

from math import hypot, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from .confusion import count_bins, smallest_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


# Bits of an integer type that hold a class each; the sign of a signed type is left alone.
_BITS = {torch.uint8: 8, torch.int16: 15, torch.int32: 31, torch.int64: 63}


_WORD = _BITS[torch.int64]


class Coded(NamedTuple):
    """Label maps by code, (N, H, W) integers of one type: class id + 1, and 0 where the truth is ignored."""

    truth: torch.Tensor
    prediction: torch.Tensor
    num_classes: int


def coded(prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, ignore_index: int) -> Coded:
    """Return label maps (N, H, W) by code, in the smallest type."""
    dtype, valid = smallest_type(num_classes + 1), truth != ignore_index
    return Coded((truth.to(dtype) + 1) * valid, (prediction.to(dtype) + 1) * valid, num_classes)


def width_in_pixels(share: float, height: int, width: int) -> int:
    """Return a share of an image's diagonal in whole pixels, at least 1; halves go to the even number.

    >>> width_in_pixels(0.005, 360, 480), width_in_pixels(0.0075, 360, 480), width_in_pixels(0.005, 8, 8)
    (3, 4, 1)
    """
    return max(1, round(share * hypot(height, width)))


def near_another_class(codes: torch.Tensor, num_classes: int, depth: int) -> torch.Tensor:
    """Tell which labelled pixels have one of another class at most `depth` rows and columns away; bool (N, H, W).

    >>> codes = torch.tensor([[[1, 1, 1, 2, 2, 0, 1]]])
    >>> near_another_class(codes, 2, 1).int().tolist()
    [[[0, 0, 1, 1, 0, 0, 0]]]
    """
    upside_down = torch.where(codes == 0, 0, num_classes + 1 - codes)
    highest, lowest = _highest_within(torch.cat([codes, upside_down]), depth).chunk(2)
    return (highest != num_classes + 1 - lowest) & (codes != 0)


def boundary_counts(maps: Coded, bands: torch.Tensor, depth: int, tolerance: int) -> torch.Tensor:
    """Return the counts of `segbench.store.counts.BoundaryCount` by image and class, int64 (N, K, 7).

    `bands` (2 N, H, W) are those of `bands_between_classes`; `depth` is the width of the bands that Boundary IoU
    compares, `tolerance` the distance within which boundary F1 matches, as the radius of a disc (G. Csurka et al.,
    BMVC 2013), both in pixels.
    """
    both = torch.cat([maps.truth, maps.prediction])
    truth_band, band = ((bands | near_border(both, depth)) & (both != 0)).chunk(2)
    lines = (near_another_class(both, maps.num_classes, 1) | near_border(both, 1)) & (both != 0)
    matched = near_the_other(lines, both, maps.num_classes, tolerance)
    true, predicted = lines.chunk(2)
    true_matched, predicted_matched = matched.chunk(2)
    counted = [
        (maps.truth, truth_band & band & (maps.truth == maps.prediction)),
        (maps.truth, truth_band),
        (maps.prediction, band),
        (maps.prediction, predicted_matched),
        (maps.prediction, predicted),
        (maps.truth, true_matched),
        (maps.truth, true),
    ]
    return torch.stack([class_pixels(codes * chosen, maps.num_classes) for codes, chosen in counted], dim=2)


def bands_between_classes(maps: Coded, depth: int) -> torch.Tensor:
    """Return where truth and prediction have another class near, bool (2 N, H, W), the N of the truth first."""
    return near_another_class(torch.cat([maps.truth, maps.prediction]), maps.num_classes, depth)


def class_pixels(codes: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Count the pixels of each class in maps of codes (N, H, W), int64 (N, K)."""
    return count_bins(codes.flatten(1), num_classes + 1)[:, 1:]


def near_border(maps: torch.Tensor, depth: int) -> torch.Tensor:
    """Tell which pixels of an image lie in its outermost `depth` rows and columns; bool (H, W)."""
    height, width = maps.shape[-2:]
    border = torch.ones(height, width, dtype=torch.bool, device=maps.device)
    border[depth : height - depth, depth : width - depth] = False
    return border


def near_the_other(lines: torch.Tensor, codes: torch.Tensor, num_classes: int, tolerance: int) -> torch.Tensor:
    """Tell which boundary pixels have one of their class near in the other map; bool (2 N, H, W).

    `lines` are the boundary pixels of `codes`: N maps, and then N others of the same images. A class is a bit of an
    integer, so one dilation serves up to 63 of them.
    """
    near = torch.zeros_like(lines)
    for first in range(0, num_classes, _WORD):
        held = min(num_classes - first, _WORD)
        dtype = next(dtype for dtype, bits in _BITS.items() if held <= bits)
        present = lines & (codes > first) & (codes <= first + held)
        place = torch.where(present, codes - (first + 1), 0).to(dtype)
        own, others = dilated(present.to(dtype) << place, tolerance).chunk(2)
        near |= present & ((torch.cat([others, own]) >> place) & 1).bool()
    return near


def dilated(bits: torch.Tensor, radius: int) -> torch.Tensor:
    """Return for each pixel the bits that are set anywhere within `radius` pixels (Euclidean); integers (N, H, W).

    A disc is made of rows: the wider the farther from its top, so each is its narrower neighbour with two pixels more.
    """
    rows, result = bits.clone(), bits.clone()
    for half_width in range(1, radius + 1):
        _spread(rows, bits, half_width, dim=2)
        for distance in _rows_of(half_width, radius):
            _spread(result, rows, distance, dim=1)
    _spread(result, bits, radius, dim=1)
    return result


def _rows_of(half_width: int, radius: int) -> Iterator[int]:
    """Yield how far those rows of a disc that reach `half_width` to each side lie from its centre."""
    return (distance for distance in range(radius) if isqrt(radius**2 - distance**2) == half_width)


def _spread(target: torch.Tensor, source: torch.Tensor, distance: int, dim: int) -> None:
    """Add what is set `distance` pixels before and after along an axis."""
    length = target.shape[dim] - distance
    if length <= 0:
        return
    for start, origin in ((0, distance), (distance, 0)):
        place = target.narrow(dim, start, length)
        place |= source.narrow(dim, origin, length)


def _highest_within(codes: torch.Tensor, depth: int) -> torch.Tensor:
    """Return the maximum over the square window of 2 depth + 1 pixels; beyond the image there is nothing."""
    codes = functional.pad(codes, (depth, depth, depth, depth))
    for dim in (1, 2):
        codes = _running_maximum(codes, 2 * depth + 1, dim)
    return codes


def _running_maximum(values: torch.Tensor, window: int, dim: int) -> torch.Tensor:
    """Return the maximum of each `window` neighbours along an axis, of windows that double until they are as long."""
    reach = 1
    while reach < window:
        step = min(reach, window - reach)
        length = values.shape[dim] - step
        values = torch.maximum(values.narrow(dim, 0, length), values.narrow(dim, step, length))
        reach += step
    return values


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


_PERCENTILE = 95


def surface_distances(maps: Coded, tolerance: float) -> torch.Tensor:
    """Return HD95 in pixels and the normalised surface distance by image and class, float64 (N, K, 2) on the CPU.

    The surface of a class are its pixels that have a pixel of another class, or the outside of the image, beside,
    above or below; void is no other class. HD95 is the larger of the two directed 95th percentiles of Euclidean
    distances; the other is the share of all surface pixels that lie within `tolerance` pixels of the other map's (S.
    Nikolov et al., arXiv 1809.04430). A class without surface in both maps is NaN; in one alone, HD95 is the image's
    diagonal and the share 0, so that a class that is missed altogether does not leave the mean. Waits for the device.
    """
    pairs = zip(maps.truth.cpu().numpy(), maps.prediction.cpu().numpy(), strict=True)
    return torch.from_numpy(np.stack([_by_class(truth, found, maps.num_classes, tolerance) for truth, found in pairs]))


def surface(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell which labelled pixels of a map of codes (H, W) lie on a surface.

    >>> surface(np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]])).astype(int).tolist()
    [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    """
    outside = -1
    padded = np.pad(codes.astype(np.int32), 1, constant_values=outside)
    beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs = np.stack([(other != codes) & (other != 0) for other in beside])
    found: NDArray[np.bool_] = differs.any(axis=0) & (codes != 0)
    return found


def _by_class(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], num_classes: int, tolerance: float
) -> NDArray[np.float64]:
    """Return both numbers of each class of one image, (K, 2)."""
    true, predicted = surface(truth), surface(prediction)
    return np.array(
        [
            _of_surfaces(true & (truth == code), predicted & (prediction == code), tolerance)
            for code in range(1, num_classes + 1)
        ]
    )


def _of_surfaces(true: NDArray[np.bool_], predicted: NDArray[np.bool_], tolerance: float) -> tuple[float, float]:
    from monai.metrics.utils import get_surface_distance

    if not (true.any() or predicted.any()):
        return np.nan, np.nan
    if not (true.any() and predicted.any()):
        return float(np.hypot(*true.shape)), 0.0
    directed = [get_surface_distance(predicted, true), get_surface_distance(true, predicted)]
    within = np.concatenate(directed) <= tolerance
    return max(float(np.percentile(distances, _PERCENTILE)) for distances in directed), float(within.mean())
