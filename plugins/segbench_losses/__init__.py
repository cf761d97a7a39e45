"""First-party components: losses/, supervised losses of logits against labels.

Each is a module `(output, target) -> scalar`:

- output: logits (N, K, H, W); computed in float32 unless they are float64
- target: class ids (N, H, W), int64
- ignored pixels change neither value nor gradient; where all are ignored the loss is 0

`class_weights` is one number a class and `losses/focal` with `gamma: 0` is `losses/cross_entropy`: both are averages
over pixels weighted by the weight of the true class. The classes of a region loss (dice, tversky, lovasz) are averaged
over those present in the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from segbench import Component, SegbenchError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REQUIRES = ("torch",)


def build_cross_entropy(
    num_classes: int, ignore_index: int, *, class_weights: list[float] | None = None, label_smoothing: float = 0.0
) -> Any:
    """Build the cross-entropy; `label_smoothing` is the share of the target spread over all classes."""
    _check_class_weights("cross_entropy", class_weights, num_classes)
    _check("cross_entropy", "label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "from 0 to below 1")
    from .pixels import CrossEntropy

    return CrossEntropy(ignore_index, class_weights, label_smoothing)


def build_focal(
    num_classes: int, ignore_index: int, *, gamma: float = 2.0, class_weights: list[float] | None = None
) -> Any:
    """Build the focal loss; the larger `gamma`, the less an easy pixel counts. `class_weights` are its alpha."""
    _check_class_weights("focal", class_weights, num_classes)
    _check("focal", "gamma", gamma, gamma >= 0, "0 or more")
    from .pixels import Focal

    return Focal(ignore_index, class_weights, gamma)


def build_ohem(ignore_index: int, *, threshold: float = 0.7, min_fraction: float = 0.0625) -> Any:
    """Build the cross-entropy of hard pixels: those whose true class has less than `threshold` probability.

    At least the hardest `min_fraction` of the batch's pixels is kept.
    """
    _check("ohem", "threshold", threshold, 0 < threshold <= 1, "above 0, at most 1")
    _check("ohem", "min_fraction", min_fraction, 0 < min_fraction <= 1, "above 0, at most 1")
    from .pixels import HardPixelCrossEntropy

    return HardPixelCrossEntropy(ignore_index, threshold, min_fraction)


def build_dice(ignore_index: int, *, smooth: float = 0.0) -> Any:
    """Build the Dice loss; `smooth` is added above and below the fraction bar."""
    _check("dice", "smooth", smooth, smooth >= 0, "0 or more")
    from .regions import Tversky

    # 2 TP / (2 TP + FP + FN) is the Tversky index of two halves; dividing by 2 halves the smoothing term as well.
    return Tversky(ignore_index, alpha=0.5, beta=0.5, smooth=smooth / 2)


def build_tversky(ignore_index: int, *, alpha: float = 0.3, beta: float = 0.7, smooth: float = 0.0) -> Any:
    """Build the Tversky loss; `alpha` weighs false positives, `beta` false negatives.

    `smooth` is added above and below the fraction bar.
    """
    _check("tversky", "alpha", alpha, alpha >= 0, "0 or more")
    _check("tversky", "beta", beta, beta >= 0, "0 or more")
    _check("tversky", "smooth", smooth, smooth >= 0, "0 or more")
    from .regions import Tversky

    return Tversky(ignore_index, alpha, beta, smooth)


def build_lovasz(ignore_index: int, *, classes: Literal["present", "all"] = "present") -> Any:
    """Build the Lovász-Softmax loss, averaged over the `classes` present in the batch or over all."""
    from .regions import LovaszSoftmax

    return LovaszSoftmax(ignore_index, classes)


@hookimpl
def segbench_losses() -> Iterable[Component]:
    """Yield the six losses."""
    yield Component("cross_entropy", build_cross_entropy, "Cross-entropy, averaged over pixels", requires=REQUIRES)
    yield Component("dice", build_dice, "Dice loss (Milletari 2016): 1 - mean soft Dice", requires=REQUIRES)
    yield Component("focal", build_focal, "Focal loss (Lin 2017) on softmax probabilities", requires=REQUIRES)
    yield Component("lovasz", build_lovasz, "Lovász-Softmax (Berman 2018): a surrogate of mIoU", requires=REQUIRES)
    yield Component(
        "tversky", build_tversky, "Tversky loss (Salehi 2017): Dice with two kinds of error", requires=REQUIRES
    )
    yield Component("ohem", build_ohem, "Cross-entropy of hard pixels (Shrivastava 2016)", requires=REQUIRES)


def _check(loss: str, option: str, value: float, fits: bool, allowed: str) -> None:
    if not fits:
        raise SegbenchError(f"losses/{loss}: {option} is {value}; give a number {allowed}")


def _check_class_weights(loss: str, class_weights: Sequence[float] | None, num_classes: int) -> None:
    if class_weights is None:
        return
    if len(class_weights) != num_classes:
        raise SegbenchError(
            f"losses/{loss}: class_weights has {len(class_weights)} numbers; the dataset has {num_classes} classes, "
            "give one number for each"
        )
    if min(class_weights) < 0 or not sum(class_weights) > 0:
        raise SegbenchError(f"losses/{loss}: class_weights is {list(class_weights)}; give numbers >= 0, not all 0")
