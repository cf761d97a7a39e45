"""Boundary counts by image and class, from which Boundary IoU and boundary F1 are computed.

The boundary band of a class is what d erosions by a 3x3 square take away from its pixels after zero padding of one
pixel (B. Cheng et al., "Boundary IoU", CVPR 2021): the pixels from which a pixel of another class, or the outside of
the image, is at most d rows and columns away. So one square window over the label map gives the bands of all classes.
Where the truth is ignored nothing is counted, in truth and prediction alike, and no boundary arises.
"""

from __future__ import annotations

from math import hypot, isqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from .confusion import count_bins, smallest_type

if TYPE_CHECKING:
    from collections.abc import Iterator


# Bits of an integer type that hold a class each; the sign of a signed type is left alone.
_BITS = {torch.uint8: 8, torch.int16: 15, torch.int32: 31, torch.int64: 63}
_WORD = _BITS[torch.int64]


class Encoded(NamedTuple):
    """Label maps by code, (N, H, W) integers of one type: class id + 1, and 0 where the truth is ignored.

    They may be rows of larger images, which have so many rows `above` and `below` them; of these rows those `counted`
    are counted, the others tell what is near.
    """

    truth: torch.Tensor
    prediction: torch.Tensor
    num_classes: int
    above: int = 0
    below: int = 0
    counted: slice = slice(None)


def encode(prediction: torch.Tensor, truth: torch.Tensor, num_classes: int, ignore_index: int) -> Encoded:
    """Return label maps (N, H, W) by code, in the smallest type."""
    dtype, valid = smallest_type(num_classes + 1), truth != ignore_index
    return Encoded((truth.to(dtype) + 1) * valid, (prediction.to(dtype) + 1) * valid, num_classes)


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


def boundary_counts(maps: Encoded, bands: torch.Tensor, depth: int, tolerance: int) -> torch.Tensor:
    """Return the counts of `segbench.store.counts.BoundaryCount` by image and class, int64 (N, K, 7).

    `bands` (2 N, H, W) are those of `bands_between_classes`; `depth` is the width of the bands that Boundary IoU
    compares, `tolerance` the distance within which boundary F1 matches, as the radius of a disc (G. Csurka et al.,
    BMVC 2013), both in pixels.
    """
    both = torch.cat([maps.truth, maps.prediction])
    truth_band, band = ((bands | _near_border(maps, depth)) & (both != 0)).chunk(2)
    lines = (near_another_class(both, maps.num_classes, 1) | _near_border(maps, 1)) & (both != 0)
    matched = match_in_other_map(lines, both, maps.num_classes, tolerance)
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
    pixels = ((codes[:, maps.counted] * chosen[:, maps.counted]) for codes, chosen in counted)
    return torch.stack([count_class_pixels(codes, maps.num_classes) for codes in pixels], dim=2)


def bands_between_classes(maps: Encoded, depth: int) -> torch.Tensor:
    """Return where truth and prediction have another class near, bool (2 N, H, W), the N of the truth first."""
    return near_another_class(torch.cat([maps.truth, maps.prediction]), maps.num_classes, depth)


def count_class_pixels(codes: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Count the pixels of each class in maps of codes (N, H, W), int64 (N, K)."""
    return count_bins(codes.flatten(1), num_classes + 1)[:, 1:]


def _near_border(maps: Encoded, depth: int) -> torch.Tensor:
    """Tell which pixels lie in the outermost `depth` rows and columns of their image; bool (H, W)."""
    height, width = maps.truth.shape[-2:]
    border = torch.ones(height, width, dtype=torch.bool, device=maps.truth.device)
    first, last = max(0, depth - maps.above), height - max(0, depth - maps.below)
    border[first : max(0, last), depth : width - depth] = False
    return border


def match_in_other_map(lines: torch.Tensor, codes: torch.Tensor, num_classes: int, tolerance: int) -> torch.Tensor:
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
        own, others = dilate(present.to(dtype) << place, tolerance).chunk(2)
        near |= present & ((torch.cat([others, own]) >> place) & 1).bool()
    return near


def dilate(bits: torch.Tensor, radius: int) -> torch.Tensor:
    """Return for each pixel the bits that are set anywhere within `radius` pixels (Euclidean); integers (N, H, W).

    A disc is made of rows: the wider the farther from its top, so each is its narrower neighbour with two pixels more.
    """
    rows, result = bits.clone(), bits.clone()
    for half_width in range(1, radius + 1):
        _shift_into(rows, bits, half_width, dim=2)
        for distance in _rows_of(half_width, radius):
            _shift_into(result, rows, distance, dim=1)
    _shift_into(result, bits, radius, dim=1)
    return result


def _rows_of(half_width: int, radius: int) -> Iterator[int]:
    """Yield how far those rows of a disc that reach `half_width` to each side lie from its centre."""
    return (distance for distance in range(radius) if isqrt(radius**2 - distance**2) == half_width)


def _shift_into(target: torch.Tensor, source: torch.Tensor, distance: int, dim: int) -> None:
    """Set in the target what the source has set `distance` pixels before and after along an axis."""
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
