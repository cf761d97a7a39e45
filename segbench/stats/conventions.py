"""Conventions of mIoU that other tools follow, computed from the same counts.

They differ in how a class that does not occur counts, and in whether images are summed before or after the mean.
All take confusion counts by image, int64 (n, K, K), `confusion[image, truth, prediction]`, and return a fraction of 1,
or None where nothing is defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .scores import iou, miou, per_image_miou

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Confusion = NDArray[np.int64]


REFERENCE = "reference"


@dataclass(frozen=True)
class Convention:
    """A way to average IoU: the function, its rule in words, and the tools that follow it."""

    score: Callable[[Confusion], float | None]
    rule: str
    tools: str

    def __call__(self, confusion: Confusion) -> float | None:
        """Return the score of confusion counts by image.

        >>> CONVENTIONS["reference"](np.array([[[3, 1], [0, 0]], [[2, 0], [0, 2]]]))  # IoU 5/6 and 2/3
        0.75
        """
        return self.score(confusion)


def reference(confusion: Confusion) -> float | None:
    """Return the mean over the classes with a non-empty union, counts summed over the images (miou/union)."""
    return miou(confusion.sum(axis=0))


def present_in_truth(confusion: Confusion) -> float | None:
    """Return the mean over the classes that the truth holds, counts summed over the images.

    Pixels predicted as a class that the truth lacks lower the IoU of other classes, but add no class of IoU 0. Older
    versions of Detectron2 divided the same sum by the classes in truth or prediction, which is the reference.
    """
    total = confusion.sum(axis=0)
    present = iou(total)[total.sum(axis=1) > 0]
    return float(present.mean()) if present.size else None


def absent_as_one(confusion: Confusion) -> float | None:
    """Return the mean over all classes, counts summed over the images; an empty union counts as 1."""
    return float(np.nan_to_num(iou(confusion.sum(axis=0)), nan=1.0).mean()) if confusion.any() else None


CONVENTIONS: Mapping[str, Convention] = {
    REFERENCE: Convention(
        reference,
        rule="counts summed over the split; mean over the classes that occur in truth or prediction",
        tools="cityscapesScripts, MMSegmentation, torchmetrics MulticlassJaccardIndex",
    ),
    "present-in-truth": Convention(
        present_in_truth,
        rule="counts summed over the split; mean over the classes that occur in the truth",
        tools="Detectron2 SemSegEvaluator",
    ),
    "absent-as-one": Convention(
        absent_as_one,
        rule="counts summed over the split; mean over all classes, and one in neither truth nor prediction counts as 1",
        tools="segmentation_models_pytorch iou_score(reduction='macro'), whose zero_division is 1",
    ),
    "per-image": Convention(
        per_image_miou,
        rule="mean over the images of the mean over the classes that occur in truth or prediction of the image",
        tools="torchmetrics.functional.segmentation.mean_iou, averaged over the images",
    ),
}
