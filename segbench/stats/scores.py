"""Scores of a segmentation from the counts of its images; what each means is in `segbench.stats.definitions`.

In this order: all scores of a split; those of the confusion matrix, int64 (K, K), `confusion[truth, prediction]`
pixels where the truth is not ignore_index; those of boundaries, from `segbench.store.counts.BoundaryCount`, int64
(n, K, 7) by image and class; those of calibration, from sums by image, `calibration` (n, 15, 3) and `likelihood`
(n, 2); ratios and means of values of which some are undefined. An undefined score is NaN in functions that return
arrays and None in those that return a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segbench.store.counts import BoundaryCount
from segbench.store.record import PerClass, Scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

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
        **_boundary_scores(counts),
        **_calibration_scores(counts),
        **_surface_scores(counts),
    )


def per_class(counts: Counts) -> PerClass:
    """Return the scores of each class; None where they are undefined, such as where it does not occur."""
    boundary = counts.boundary
    return PerClass(
        iou=numbers(iou(counts.confusion.sum(axis=0))),
        boundary_iou=None if boundary is None else numbers(boundary_iou(boundary)),
        boundary_f1=None if boundary is None else numbers(boundary_f1(boundary)),
    )


def _boundary_scores(counts: Counts) -> dict[str, float | None]:
    if counts.boundary is None:
        return {}
    return {"boundary_iou": mean(boundary_iou(counts.boundary)), "boundary_f1": mean(boundary_f1(counts.boundary))}


def _calibration_scores(counts: Counts) -> dict[str, float | None]:
    if counts.calibration is None or counts.likelihood is None:
        return {}
    pixels = float(counts.confusion.sum())
    return {
        "ece": expected_calibration_error(counts.calibration),
        "nll": negative_log_likelihood(counts.likelihood, pixels),
        "brier": brier(counts.likelihood, pixels),
    }


def _surface_scores(counts: Counts) -> dict[str, float | None]:
    if counts.surface is None:
        return {}
    hd95, share = surface_scores(counts.surface).T
    return {"hd95": mean(hd95), "surface_dice": mean(share)}


def iou(confusion: Confusion) -> PerClassArray:
    """Return the IoU of each class (iou/union), shape (K,)."""
    hits, union = hits_and_union(_check(confusion))
    return ratio(hits, union)


def miou(confusion: Confusion) -> float | None:
    """Return the mean IoU over classes with a non-empty union (miou/union)."""
    return mean(iou(confusion))


def per_image_miou(confusion: Confusion) -> float | None:
    """Return the mean over images of each image's mIoU (per_image_miou/union), from matrices by image (n, K, K)."""
    return mean(image_miou(confusion))


def image_miou(confusion: Confusion) -> NDArray[np.float64]:
    """Return the mIoU of each image over the classes with a non-empty union in it, shape (n,); NaN without any."""
    return means(ratio(*hits_and_union(confusion)), axis=1)


def dice(confusion: Confusion) -> PerClassArray:
    """Return the Dice coefficient of each class (dice/union), shape (K,); it is 2 IoU / (1 + IoU)."""
    hits, union = hits_and_union(_check(confusion))
    return ratio(2 * hits, union + hits)


def mean_dice(confusion: Confusion) -> float | None:
    """Return the mean Dice coefficient over classes with a non-empty union (dice/union)."""
    return mean(dice(confusion))


def pixel_accuracy(confusion: Confusion) -> float | None:
    """Return the share of pixels that are right (pixel_accuracy)."""
    return mean(ratio(np.trace(_check(confusion)), confusion.sum()))


def mean_accuracy(confusion: Confusion) -> float | None:
    """Return the mean, over the classes in the truth, of the share of a class's pixels found (mean_accuracy/truth)."""
    counts = _check(confusion)
    return mean(ratio(np.diag(counts), counts.sum(axis=1)))


def frequency_weighted_iou(confusion: Confusion) -> float | None:
    """Return the mean IoU weighted by the pixels of each class in the truth (fwiou)."""
    pixels = _check(confusion).sum(axis=1)
    if pixels.sum() == 0:
        return None
    return float(np.dot(pixels / pixels.sum(), np.nan_to_num(iou(confusion))))


def _check(confusion: Confusion) -> Confusion:
    """Return the matrix if its form is right, which only a mistake in segbench itself could break."""
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.dtype != np.int64:
        raise ValueError(f"a confusion matrix is (K, K) int64, not {confusion.shape} {confusion.dtype}")
    return confusion


def hits_and_union(confusion: Confusion) -> tuple[Confusion, Confusion]:
    """Return the right pixels of each class and those that are of it in truth or prediction, (..., K)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return hits, confusion.sum(axis=-2) + confusion.sum(axis=-1) - hits


def boundary_iou(boundary: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Boundary IoU of each class over the whole split (boundary_iou/union), (K,); NaN where undefined.

    >>> counts = np.array([[[2, 4, 5, 0, 0, 0, 0]], [[1, 1, 1, 0, 0, 0, 0]]])  # two images of one class
    >>> boundary_iou(counts).tolist()  # 3 of 5 + 6 - 3
    [0.375]
    """
    intersection, truth, prediction = (
        _select(boundary.sum(axis=0), name) for name in ("intersection", "truth", "prediction")
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
    predicted, true = _select(boundary, "predicted"), _select(boundary, "true")
    precision = np.nan_to_num(ratio(_select(boundary, "predicted_matched"), predicted))
    recall = np.nan_to_num(ratio(_select(boundary, "true_matched"), true))
    f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(predicted + true > 0, f1, np.nan)


def surface_scores(surface: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return HD95 and the normalised surface distance of each class, their means over images, (K, 2); NaN if undefined.

    `surface` is that of `segbench.store.counts.Counts`, (n, K, 2).
    """
    return means(surface, axis=0)


def _select(boundary: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """Return one of the counts along the last axis."""
    counts: NDArray[np.int64] = boundary[..., BoundaryCount._fields.index(name)]
    return counts


def expected_calibration_error(calibration: NDArray[np.float64]) -> float | None:
    """Return the mean over pixels of how far, bin by bin, the top probability is from the share that is right (ece).

    >>> expected_calibration_error(np.array([[[4.0, 3.0, 2.0], [1.0, 0.5, 1.0]]]))  # |3 - 2| and |0.5 - 1| of 5 pixels
    0.3
    """
    pixels, top, right = np.moveaxis(calibration.sum(axis=0), -1, 0)
    return mean(ratio(np.abs(top - right).sum(), pixels.sum()))


def negative_log_likelihood(likelihood: NDArray[np.float64], pixels: float) -> float | None:
    """Return the mean over pixels of -log p(true class) in nats (nll); `pixels` is the number of labelled ones."""
    return mean(ratio(likelihood[:, 0].sum(), pixels))


def brier(likelihood: NDArray[np.float64], pixels: float) -> float | None:
    """Return the mean over pixels of the Brier score (brier/sum); `pixels` is the number of labelled ones."""
    return mean(ratio(likelihood[:, 1].sum(), pixels))


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Divide, with NaN where there is nothing to divide by.

    >>> ratio([1, 0], [2, 0]).tolist()
    [0.5, nan]
    """
    part, whole = np.broadcast_arrays(part, whole)
    quotients = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=quotients, where=whole > 0)
    return quotients


def means(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the means of the defined values along an axis; NaN where there is none.

    >>> means(np.array([[0.5, np.nan], [1.0, np.nan]]), axis=0).tolist()
    [0.75, nan]
    """
    return ratio(np.nansum(values, axis=axis), (~np.isnan(values)).sum(axis=axis))


def mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the defined values; None if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Return a list with None for what is not defined."""
    return [None if np.isnan(value) else float(value) for value in values]
