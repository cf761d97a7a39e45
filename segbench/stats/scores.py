"""Scores of a segmentation from the counts of its images; what each means is in `segbench.stats.passports`.

A confusion matrix is int64 of shape (K, K), `confusion[truth, prediction]` pixels, summed over the whole split, counted
only where the truth is not ignore_index. A score that is undefined is NaN in the functions that return arrays and None
in those that return a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segbench.store.record import PerClass, Scores

from .boundary import boundary_f1, boundary_iou, surface_scores
from .calibration import brier, expected_calibration_error, negative_log_likelihood
from .defined import mean, means, numbers, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench.store.counts import Counts

    Confusion = NDArray[np.int64]
    PerClassArray = NDArray[np.float64]


def scores(counts: Counts) -> Scores:
    """Return the scores of a split from all that was counted of its images; None for what was not.

    >>> from segbench.store.counts import Counts
    >>> counts = Counts(ids=("a", "b"), split="test", confusion=np.array([[[4, 0], [2, 0]], [[2, 0], [0, 2]]]))
    >>> found = scores(counts)
    >>> found.miou, found.per_image_miou  # IoU 6/8 and 2/4; 4/6 and 0 in image a, 1 and 1 in b
    (0.625, 0.6666666666666666)
    """
    total = counts.confusion.sum(axis=0)
    return Scores(
        miou=miou(total),
        pixel_accuracy=pixel_accuracy(total),
        mean_accuracy=mean_accuracy(total),
        fwiou=frequency_weighted_iou(total),
        dice=mean_dice(total),
        per_image_miou=per_image_miou(counts.confusion),
        **_of_boundaries(counts),
        **_of_calibration(counts),
        **_of_surfaces(counts),
    )


def per_class(counts: Counts) -> PerClass:
    """Return the scores of each class; None where they are undefined, such as where it does not occur."""
    boundary = counts.boundary
    return PerClass(
        iou=numbers(iou(counts.confusion.sum(axis=0))),
        boundary_iou=None if boundary is None else numbers(boundary_iou(boundary)),
        boundary_f1=None if boundary is None else numbers(boundary_f1(boundary)),
    )


def _of_boundaries(counts: Counts) -> dict[str, float | None]:
    if counts.boundary is None:
        return {}
    return {"boundary_iou": mean(boundary_iou(counts.boundary)), "boundary_f1": mean(boundary_f1(counts.boundary))}


def _of_calibration(counts: Counts) -> dict[str, float | None]:
    if counts.calibration is None or counts.likelihood is None:
        return {}
    pixels = float(counts.confusion.sum())
    return {
        "ece": expected_calibration_error(counts.calibration),
        "nll": negative_log_likelihood(counts.likelihood, pixels),
        "brier": brier(counts.likelihood, pixels),
    }


def _of_surfaces(counts: Counts) -> dict[str, float | None]:
    if counts.surface is None:
        return {}
    hd95, share = surface_scores(counts.surface).T
    return {"hd95": mean(hd95), "surface_dice": mean(share)}


def iou(confusion: Confusion) -> PerClassArray:
    """Return the IoU of each class (iou/union), shape (K,)."""
    hits, union = _hits_and_union(_checked(confusion))
    return ratio(hits, union)


def miou(confusion: Confusion) -> float | None:
    """Return the mean IoU over classes with a non-empty union (miou/union)."""
    return mean(iou(confusion))


def per_image_miou(confusion: Confusion) -> float | None:
    """Return the mean over images of each image's mIoU (per_image_miou/union), from matrices by image (n, K, K)."""
    return mean(means(ratio(*_hits_and_union(confusion)), axis=1))


def dice(confusion: Confusion) -> PerClassArray:
    """Return the Dice coefficient of each class (dice/union), shape (K,); it is 2 IoU / (1 + IoU)."""
    hits, union = _hits_and_union(_checked(confusion))
    return ratio(2 * hits, union + hits)


def mean_dice(confusion: Confusion) -> float | None:
    """Return the mean Dice coefficient over classes with a non-empty union (dice/union)."""
    return mean(dice(confusion))


def pixel_accuracy(confusion: Confusion) -> float | None:
    """Return the share of pixels that are right (pixel_accuracy)."""
    return mean(ratio(np.trace(_checked(confusion)), confusion.sum()))


def mean_accuracy(confusion: Confusion) -> float | None:
    """Return the mean, over the classes in the truth, of the share of a class's pixels found (mean_accuracy/truth)."""
    counts = _checked(confusion)
    return mean(ratio(np.diag(counts), counts.sum(axis=1)))


def frequency_weighted_iou(confusion: Confusion) -> float | None:
    """Return the mean IoU weighted by the pixels of each class in the truth (fwiou)."""
    pixels = _checked(confusion).sum(axis=1)
    if pixels.sum() == 0:
        return None
    return float(np.dot(pixels / pixels.sum(), np.nan_to_num(iou(confusion))))


def _checked(confusion: Confusion) -> Confusion:
    """Check the form, which only a mistake in segbench itself could break."""
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.dtype != np.int64:
        raise ValueError(f"a confusion matrix is (K, K) int64, not {confusion.shape} {confusion.dtype}")
    return confusion


def _hits_and_union(confusion: Confusion) -> tuple[Confusion, Confusion]:
    """Return the right pixels of each class and those that are of it in truth or prediction, (..., K)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return hits, confusion.sum(axis=-2) + confusion.sum(axis=-1) - hits
