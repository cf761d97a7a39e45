"""Scores of boundaries, from what `segbench.store.counts.BoundaryCount` counts by image and class, int64 (n, K, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segbench.store.counts import BoundaryCount

from .defined import means, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray


def boundary_iou(boundary: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Boundary IoU of each class over the whole split (boundary_iou/union), (K,); NaN where undefined.

    >>> counts = np.array([[[2, 4, 5, 0, 0, 0, 0]], [[1, 1, 1, 0, 0, 0, 0]]])  # two images of one class
    >>> boundary_iou(counts).tolist()  # 3 of 5 + 6 - 3
    [0.375]
    """
    intersection, truth, prediction = (
        _of(boundary.sum(axis=0), name) for name in ("intersection", "truth", "prediction")
    )
    return ratio(intersection, truth + prediction - intersection)


def boundary_f1(boundary: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the boundary F1 of each class, its mean over images (boundary_f1/per-image), (K,); NaN where undefined."""
    return means(boundary_f1_by_image(boundary), axis=0)


def boundary_f1_by_image(boundary: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 2 P R / (P + R) by image and class, (n, K); NaN where neither truth nor prediction has a boundary.

    >>> counts = np.array([[[0, 0, 0, 3, 4, 1, 2]]])  # P = 3/4, R = 1/2
    >>> boundary_f1_by_image(counts).tolist()
    [[0.6]]
    """
    predicted, true = _of(boundary, "predicted"), _of(boundary, "true")
    precision = np.nan_to_num(ratio(_of(boundary, "predicted_matched"), predicted))
    recall = np.nan_to_num(ratio(_of(boundary, "true_matched"), true))
    f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(predicted + true > 0, f1, np.nan)


def surface_scores(surface: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return HD95 and the normalised surface distance of each class, their means over images, (K, 2); NaN if undefined.

    `surface` is that of `segbench.store.counts.Counts`, (n, K, 2).
    """
    return means(surface, axis=0)


def _of(boundary: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """Return one of the counts along the last axis."""
    counts: NDArray[np.int64] = boundary[..., BoundaryCount._fields.index(name)]
    return counts
