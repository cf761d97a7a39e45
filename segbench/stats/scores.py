"""Scores of a segmentation, all from one confusion matrix.

A confusion matrix is int64 of shape (K, K), `confusion[truth, prediction]` pixels, summed over the whole split, counted
only where the truth is not ignore_index. With tp its diagonal, fn = row sum - tp and fp = column sum - tp:

    definition id        score
    iou/union            tp / (tp + fp + fn) of a class; undefined where that union is empty
    miou/union           mean of iou/union over the classes where it is defined; a class that is predicted and
                         never right counts as 0, one that is in neither truth nor prediction does not count
    pixel_accuracy       sum of tp / sum of all
    mean_accuracy/truth  mean of tp / row sum over the classes that occur in the truth
    fwiou                mean of IoU over the classes, weighted by their pixels in the truth
    dice/union           mean of 2 tp / (2 tp + fp + fn) over the classes whose union is not empty

The conventions are those of the Cityscapes evaluation script (M. Cordts et al., CVPR 2016) for IoU, and of J. Long et
al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, for the accuracies and fwiou. A score that is
undefined is NaN in the functions that return arrays and None in those that return a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segbench.store.record import PerClass, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Confusion = NDArray[np.int64]
    PerClassArray = NDArray[np.float64]


def scores(confusion: Confusion) -> Scores:
    """Return the dataset-level scores of a confusion matrix, each in [0, 1].

    >>> scores(np.array([[6, 0], [2, 2]])).miou  # IoU 6/8 and 2/4
    0.625
    """
    return Scores(
        miou=miou(confusion),
        pixel_accuracy=pixel_accuracy(confusion),
        mean_accuracy=mean_accuracy(confusion),
        fwiou=frequency_weighted_iou(confusion),
        dice=mean_dice(confusion),
    )


def per_class(confusion: Confusion) -> PerClass:
    """Return the IoU of each class; None where the class is in neither truth nor prediction."""
    return PerClass(iou=[None if np.isnan(value) else float(value) for value in iou(confusion)])


def iou(confusion: Confusion) -> PerClassArray:
    """Return the IoU of each class (iou/union), shape (K,)."""
    hits, union = _hits_and_union(confusion)
    return _ratio(hits, union)


def miou(confusion: Confusion) -> float | None:
    """Return the mean IoU over classes with a non-empty union (miou/union)."""
    return _mean(iou(confusion))


def dice(confusion: Confusion) -> PerClassArray:
    """Return the Dice coefficient of each class (dice/union), shape (K,); it is 2 IoU / (1 + IoU)."""
    hits, union = _hits_and_union(confusion)
    return _ratio(2 * hits, union + hits)


def mean_dice(confusion: Confusion) -> float | None:
    """Return the mean Dice coefficient over classes with a non-empty union (dice/union)."""
    return _mean(dice(confusion))


def pixel_accuracy(confusion: Confusion) -> float | None:
    """Return the share of pixels that are right (pixel_accuracy)."""
    return _mean(_ratio(np.trace(_counts(confusion)), confusion.sum()))


def mean_accuracy(confusion: Confusion) -> float | None:
    """Return the mean, over the classes in the truth, of the share of a class's pixels found (mean_accuracy/truth)."""
    counts = _counts(confusion)
    return _mean(_ratio(np.diag(counts), counts.sum(axis=1)))


def frequency_weighted_iou(confusion: Confusion) -> float | None:
    """Return the mean IoU weighted by the pixels of each class in the truth (fwiou)."""
    pixels = _counts(confusion).sum(axis=1)
    if pixels.sum() == 0:
        return None
    return float(np.dot(pixels / pixels.sum(), np.nan_to_num(iou(confusion))))


def _counts(confusion: Confusion) -> Confusion:
    """Check the form, which only a mistake in segbench itself could break."""
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.dtype != np.int64:
        raise ValueError(f"a confusion matrix is (K, K) int64, not {confusion.shape} {confusion.dtype}")
    return confusion


def _hits_and_union(confusion: Confusion) -> tuple[Confusion, Confusion]:
    counts = _counts(confusion)
    hits = np.diag(counts)
    return hits, counts.sum(axis=0) + counts.sum(axis=1) - hits


def _ratio(part: Confusion, whole: Confusion) -> PerClassArray:
    """Divide, with NaN where there is nothing to divide by."""
    undefined = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0)
    return undefined


def _mean(values: PerClassArray) -> float | None:
    """Return the mean of the defined values; None if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
