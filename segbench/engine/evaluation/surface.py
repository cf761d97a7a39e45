"""Distances between true and predicted surfaces, by MONAI (the extra `medical`); for medical images, off by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .boundary import Encoded


_PERCENTILE = 95


def surface_distances(maps: Encoded, tolerance: float) -> torch.Tensor:
    """Return HD95 in pixels and the normalised surface distance by image and class, float64 (N, K, 2) on the CPU.

    The surface of a class are its pixels that have a pixel of another class, or the outside of the image, beside,
    above or below; void is no other class. HD95 is the larger of the two directed 95th percentiles of Euclidean
    distances; the other is the share of all surface pixels that lie within `tolerance` pixels of the other map's (S.
    Nikolov et al., arXiv 1809.04430). A class without surface in both maps is NaN; in one alone, HD95 is the image's
    diagonal and the share 0, so that a class that is missed altogether does not leave the mean. Waits for the device.
    """
    pairs = zip(maps.truth.cpu().numpy(), maps.prediction.cpu().numpy(), strict=True)
    return torch.from_numpy(
        np.stack([_distances_by_class(truth, found, maps.num_classes, tolerance) for truth, found in pairs])
    )


def find_surface(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell which labelled pixels of a map of codes (H, W) lie on a surface.

    >>> find_surface(np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]])).astype(int).tolist()
    [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    """
    outside = -1
    padded = np.pad(codes.astype(np.int32), 1, constant_values=outside)
    beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs = np.stack([(other != codes) & (other != 0) for other in beside])
    found: NDArray[np.bool_] = differs.any(axis=0) & (codes != 0)
    return found


def _distances_by_class(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], num_classes: int, tolerance: float
) -> NDArray[np.float64]:
    """Return both numbers of each class of one image, (K, 2)."""
    true, predicted = find_surface(truth), find_surface(prediction)
    return np.array(
        [
            _compare_surfaces(true & (truth == code), predicted & (prediction == code), tolerance)
            for code in range(1, num_classes + 1)
        ]
    )


def _compare_surfaces(true: NDArray[np.bool_], predicted: NDArray[np.bool_], tolerance: float) -> tuple[float, float]:
    from monai.metrics.utils import get_surface_distance

    if not (true.any() or predicted.any()):
        return np.nan, np.nan
    if not (true.any() and predicted.any()):
        return float(np.hypot(*true.shape)), 0.0
    directed = [get_surface_distance(predicted, true), get_surface_distance(true, predicted)]
    within = np.concatenate(directed) <= tolerance
    return max(float(np.percentile(distances, _PERCENTILE)) for distances in directed), float(within.mean())
