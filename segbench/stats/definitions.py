"""The definitions of all scores in words: formula, ignored pixels, absent classes, resolution, unit, source.

A confusion matrix is int64 of shape (K, K), `confusion[truth, prediction]` pixels. With tp its diagonal, fn = row sum
- tp and fp = column sum - tp, the union of a class is tp + fp + fn. A change of what a score means is a new version of
its definition, and records of different versions are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.store.record import Scores


_NOT_COUNTED = "counted neither in truth nor in prediction"


@dataclass(frozen=True, kw_only=True)
class MetricDefinition:
    """The definition of a score.

    `ignored` is what happens to pixels whose truth is ignore_index, `absent` to classes that do not occur, `resolution`
    where pixels are compared, `unit` the unit and range, `source` where the definition comes from.
    """

    id: str
    version: int = 1
    formula: str
    ignored: str = _NOT_COUNTED
    absent: str
    resolution: str = "the labels' own; logits are resized to it, labels never"
    unit: str = "fraction of 1"
    source: str

    @property
    def definition(self) -> str:
        """Id and version, as records name them.

        >>> METRIC_DEFINITIONS["miou"].definition
        'miou/union@1'
        """
        return f"{self.id}@{self.version}"


def definitions(scores: Scores) -> dict[str, str]:
    """Return the definition of each score that is not None.

    >>> from segbench.store.record import Scores
    >>> definitions(Scores(miou=0.5, pixel_accuracy=0.75, mean_accuracy=None, fwiou=None, dice=None))
    {'miou': 'miou/union@1', 'pixel_accuracy': 'pixel_accuracy@1'}
    """
    present = scores.model_dump(exclude_none=True)
    return {name: METRIC_DEFINITIONS[name].definition for name in present}


# What follows the definition of a score whose labels were resized as the images were, which makes it another score.
RESIZED = ", labels resized by "


def definitions_resized(scores: Scores, resize: str) -> dict[str, str]:
    """Return the definitions of scores against labels that were resized, in words, as the images were.

    >>> from segbench.store.record import Scores
    >>> scores = Scores(miou=0.5, pixel_accuracy=None, mean_accuracy=None, fwiou=None, dice=None)
    >>> definitions_resized(scores, "factor 0.5")
    {'miou': 'miou/union@1, labels resized by factor 0.5'}
    """
    return {name: f"{definition}{RESIZED}{resize}" for name, definition in definitions(scores).items()}


_CITYSCAPES = "M. Cordts et al., CVPR 2016 (evaluation script of Cityscapes)"
_LONG = "J. Long et al., CVPR 2015"
METRIC_DEFINITIONS: Mapping[str, MetricDefinition] = {
    "miou": MetricDefinition(
        id="miou/union",
        formula="mean over classes of tp / (tp + fp + fn), counts summed over the split",
        absent="left out where the union is empty; a class only predicted, or never found, counts as 0",
        source=_CITYSCAPES,
    ),
    "pixel_accuracy": MetricDefinition(
        id="pixel_accuracy",
        formula="sum of tp over classes / all counted pixels, counts summed over the split",
        absent="of no effect: a mean over pixels",
        source=_LONG,
    ),
    "mean_accuracy": MetricDefinition(
        id="mean_accuracy/truth",
        formula="mean over classes of tp / (tp + fn), counts summed over the split",
        absent="left out where the truth of the split has none",
        source=_LONG,
    ),
    "fwiou": MetricDefinition(
        id="fwiou",
        formula="mean over classes of tp / (tp + fp + fn), weighted by tp + fn, counts summed over the split",
        absent="of no effect: its weight is 0",
        source=_LONG,
    ),
    "dice": MetricDefinition(
        id="dice/union",
        formula="mean over classes of 2 tp / (2 tp + fp + fn), counts summed over the split",
        absent="left out where the union is empty; a class only predicted, or never found, counts as 0",
        source="L. R. Dice, Ecology 1945, class by class as IoU",
    ),
    "per_image_miou": MetricDefinition(
        id="per_image_miou/union",
        formula="mean over images of the mean over classes of tp / (tp + fp + fn) in that image",
        ignored=f"{_NOT_COUNTED}; an image of nothing else is left out",
        absent="left out of an image where its union is empty there; a class only predicted there counts as 0",
        source=(
            "Z. Wang et al., NeurIPS 2023, arXiv 2310.19252 (mIoU^I), whose code leaves a class that is only predicted "
            "out of an image"
        ),
    ),
    "boundary_iou": MetricDefinition(
        id="boundary_iou/union",
        formula=(
            "mean over classes of intersection / union of the bands of truth and prediction, counts summed over the "
            "split; the band of a class is its pixels that d erosions by a 3x3 square take away, after zero padding of "
            "1 pixel, so that the image's border is a boundary; d = protocol.boundaries.iou_width of the diagonal, "
            "rounded, at least 1"
        ),
        ignored=f"{_NOT_COUNTED}, and no boundary against them",
        absent="left out where the union of its bands is empty; a class only predicted counts as 0",
        source="B. Cheng et al., CVPR 2021, class by class",
    ),
    "boundary_f1": MetricDefinition(
        id="boundary_f1/per-image",
        formula=(
            "mean over classes of the mean over images of 2 P R / (P + R); P is the share of the predicted boundary of "
            "the class with its true boundary in reach, R that of the true one with the predicted one in reach; reach "
            "is protocol.boundaries.f1_tolerance of the diagonal, rounded, at least 1 pixel, as a Euclidean distance; "
            "a boundary is the band of boundary_iou/union with d = 1"
        ),
        ignored=f"{_NOT_COUNTED}, and no boundary against them",
        absent="left out of images where neither truth nor prediction has a boundary of it; in one of them alone: 0",
        source="G. Csurka et al., BMVC 2013",
    ),
    "ece": MetricDefinition(
        id="ece/top-label-15",
        formula=(
            "sum over 15 bins of equal width of the top probability: share of pixels in the bin x |share of them that "
            "is right - mean top probability|, pixels of the whole split together"
        ),
        absent="of no effect: a mean over pixels",
        source="C. Guo et al., ICML 2017",
    ),
    "nll": MetricDefinition(
        id="nll",
        formula="mean over the pixels of the split of -log p(true class), p being at least 1.2e-38",
        absent="of no effect: a mean over pixels",
        unit="nats a pixel, 0 to 87.3",
        source="I. J. Good, J. R. Stat. Soc. B 1952 (logarithmic score)",
    ),
    "brier": MetricDefinition(
        id="brier/sum",
        formula="mean over the pixels of the split of the sum over classes of (p(class) - [class is the true one])^2",
        absent="of no effect: a mean over pixels",
        unit="from 0 to 2",
        source="G. W. Brier, Monthly Weather Review 1950",
    ),
    "hd95": MetricDefinition(
        id="hd95/monai",
        formula=(
            "mean over classes of the mean over images of the larger of the two directed 95th percentiles of Euclidean "
            "distances between the surfaces of truth and prediction; a surface are the pixels of the class that have "
            "another class or the image's outside beside, above or below"
        ),
        ignored=f"{_NOT_COUNTED}, and no surface against them",
        absent="left out of images where neither truth nor prediction has a surface; in one alone: the diagonal",
        unit="pixels, from 0",
        source="MONAI get_surface_distance; percentile and rule for absent classes as above",
    ),
    "surface_dice": MetricDefinition(
        id="surface_dice/monai",
        formula=(
            "mean over classes of the mean over images of the share of the surface pixels of truth and prediction "
            "within protocol.surface_distances.tolerance pixels of the other's surface; surfaces as in hd95/monai"
        ),
        ignored=f"{_NOT_COUNTED}, and no surface against them",
        absent="left out of images where neither truth nor prediction has a surface; in one alone: 0",
        source="S. Nikolov et al., arXiv 1809.04430, with distances of MONAI get_surface_distance",
    ),
}
