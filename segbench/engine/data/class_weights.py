"""Weights of classes by how often they occur in the labels that a cell is trained with.

- `median_frequency`: the median of the frequencies of all classes over that of the class, which is its share of the
  pixels of those images in which it occurs (Eigen and Fergus, ICCV 2015; Badrinarayanan 2017, SegNet)
- `inverse_square_root`: one over the square root of the class's share of all pixels, divided by the mean over classes

Ignored pixels count nowhere. A class without pixels has weight 0 and enters neither median nor mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segbench.errors import DataError

from .cache import refuse_absent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segbench.config.recipe import ClassWeights, Method

    from .cache import PackedSplit


def weigh_classes(
    method: Method, train: PackedSplit, labelled: Sequence[int], classes: Sequence[str]
) -> dict[str, list[float]]:
    """Return the class weights that the losses of a method have by name, from the images at the `labelled` places.

    Raises DataError for classes that are absent from these, where the protocol refuses such classes, and if no pixel of
    them is labelled.
    """
    names = dict.fromkeys(loss.class_weights for loss in method.losses if loss.class_weights is not None)
    if not names:
        return {}
    pixels = train.image_class_pixels[list(labelled)]
    where = f"the training images that class_weights are made from (images: {len(labelled)})"
    if method.protocol.absent_classes == "refuse":
        refuse_absent(pixels.sum(axis=0), classes, where)
    if not pixels.any():
        raise DataError(f"no pixel is labelled in {where}; use more images, or leave class_weights out")
    return {name: class_weights(name, pixels) for name in names}


def class_weights(name: ClassWeights, pixels: NDArray[np.int64]) -> list[float]:
    """Return the weight of each class from the labelled pixels of each image by class, (n, K), of which one is not 0.

    >>> [round(weight, 2) for weight in class_weights("median_frequency", np.array([[4, 4, 0], [8, 0, 0]]))]
    [0.83, 1.25, 0.0]
    """
    total = pixels.sum(axis=0)
    present = total > 0
    if name == "median_frequency":
        around = np.where(pixels > 0, pixels.sum(axis=1, keepdims=True), 0).sum(axis=0)
        frequency = total[present] / around[present]
        found = np.median(frequency) / frequency
    else:
        found = np.sqrt(total.sum() / total[present])
        found /= found.mean()
    weights = np.zeros(len(total))
    weights[present] = found
    return weights.tolist()
