"""Where one method gains over another: in which parts of the pixels, classes and images.

All functions take the counts of both methods by seed and use the seeds that both have.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from segbench.errors import StatisticsError
from segbench.store.counts import Counts

from .bootstrap import RESAMPLES, crossed_draws
from .difference import difference_from_draws
from .evidence import common_seeds, iou_evidence
from .scores import image_miou
from .summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .bootstrap import Draws
    from .difference import Difference
    from .evidence import Evidence

    BySeed = Mapping[int, Counts]


CountedPart = Literal["band", "small"]
# The rarest classes that together hold at most this share of the labelled pixels are called rare.
RARE_SHARE = 0.1


class Contributions(NamedTuple):
    """What the pixels inside and outside a part add to the difference of two methods; their sum is the difference."""

    inside: Difference
    outside: Difference


class ImageGain(NamedTuple):
    """What one method gains over another on one image: the difference in per-image mIoU over the seeds, in [-1, 1]."""

    image: str
    difference: Summary


def rare_classes(pixels: Sequence[int]) -> tuple[int, ...]:
    """Return the rare classes by their ids, from the pixels of each class in the truth.

    Those are the rarest ones that together hold at most a tenth (RARE_SHARE) of all pixels; of classes with equal
    pixels the one with the smaller id comes first. Classes that the truth lacks are among them.

    >>> rare_classes([800, 60, 40, 100, 0])  # 0 + 40 + 60 are a tenth; with 100 more it would be a fifth
    (1, 2, 4)
    """
    rarest_first = sorted(range(len(pixels)), key=lambda class_id: (pixels[class_id], class_id))
    together, most = np.cumsum([pixels[class_id] for class_id in rarest_first]), RARE_SHARE * sum(pixels)
    return tuple(sorted(class_id for class_id, held in zip(rarest_first, together, strict=True) if held <= most))


def part_contributions(
    one: BySeed, other: BySeed, part: CountedPart, *, resamples: int = RESAMPLES, seed: int = 0
) -> Contributions:
    """Return what the pixels inside and outside a part add to mIoU(one) - mIoU(other), each in [-1, 1].

    The label map with the pixels of `one` inside the part and those of `other` outside is a prediction too, and its
    confusion counts are known, for these add up over pixels. With m(x, y) the mIoU of x inside and y outside, what the
    inside adds is the mean of m(one, other) - m(other, other) and m(one, one) - m(other, one), and what the outside
    adds likewise: the Shapley values of a game of two (L. S. Shapley, "A value for n-person games", 1953), whose sum is
    the whole difference. Raises StatisticsError if the part was not counted, or not for the same pixels.
    """
    seeds = common_seeds({"one": one, "other": other})
    cells = {
        "one": one,
        "other": other,
        "one inside": {seed: with_part_of(other[seed], one[seed], part) for seed in seeds},
        "one outside": {seed: with_part_of(one[seed], other[seed], part) for seed in seeds},
    }
    draws = crossed_draws(iou_evidence(cells), resamples, seed)
    return Contributions(
        _contribution(draws, "one inside", "one outside"), _contribution(draws, "one outside", "one inside")
    )


def class_contribution(
    one: BySeed, other: BySeed, classes: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Return what some classes add to mIoU(one) - mIoU(other): the part of each mean that is theirs.

    That is the sum of their IoU, divided by the number of all classes that count: those in the truth or in that
    prediction. So what groups of classes add sums to the whole, also where one method alone predicts a class.
    """
    evidence = iou_evidence({"one": one, "other": other})
    others = np.isin(np.arange(evidence.num_classes), list(classes), invert=True)
    alone = replace(evidence, hits=np.where(others, 0, evidence.hits))
    return difference_from_draws(crossed_draws(alone, resamples, seed), "one", "other")


def with_part_of(counts: Counts, donor: Counts, part: CountedPart) -> Counts:
    """Return the confusion counts of a prediction that inside a part is the donor's; nothing else is in them.

    Raises StatisticsError if the part was not counted, or if the truth inside it is not the same.
    """
    own, theirs = getattr(counts, part), getattr(donor, part)
    if own is None or theirs is None:
        raise StatisticsError(f"part {part!r} was not counted; run the cells again with this segbench")
    position = {image: i for i, image in enumerate(donor.ids)}
    theirs = theirs[[position[image] for image in counts.ids]]
    if not np.array_equal(own.sum(axis=2), theirs.sum(axis=2)):
        raise StatisticsError(f"part {part!r} does not hold the same pixels of the truth for both methods")
    return Counts(
        counts.ids, counts.split, counts.confusion - own + theirs, clusters=counts.clusters, folds=counts.folds
    )


def seed_scores(evidence: Evidence, method: str) -> dict[int, float | None]:
    """Return the score of a method with each seed on all images, in [0, 1]; None where it has no class to be scored."""
    index = evidence.index_of(method)
    hits, whole = evidence.hits[index].sum(axis=1), evidence.whole[index].sum(axis=1)
    found: dict[int, float | None] = {}
    for seed, mine, of in zip(evidence.seeds, hits, whole, strict=True):
        present = of > 0
        found[seed] = float((mine[present] / of[present]).mean()) if present.any() else None
    return found


def image_gains(one: BySeed, other: BySeed) -> list[ImageGain]:
    """Return per-image mIoU(one) - mIoU(other) of every image over the common seeds, the largest gain first.

    Images that hold nothing but ignored pixels are left out; equal ones come in the order of their ids.
    """
    seeds = common_seeds({"one": one, "other": other})
    ours, theirs = ([_by_image(counts[seed]) for seed in seeds] for counts in (one, other))
    gains = [
        ImageGain(image, summarize(_differences_on(image, ours, theirs)))
        for image in sorted(set[str]().union(*ours, *theirs))
    ]
    return sorted((gain for gain in gains if gain.difference.n), key=lambda gain: -_mean(gain))


def largest(gains: Sequence[ImageGain], number: int) -> tuple[list[ImageGain], list[ImageGain]]:
    """Return this number of the largest gains and of the largest losses, each with the largest first.

    >>> gains = [ImageGain("a", summarize([0.5])), ImageGain("b", summarize([0.0])), ImageGain("c", summarize([-0.25]))]
    >>> [[gain.image for gain in some] for some in largest(gains, 2)]
    [['a'], ['c']]
    """
    gained = [gain for gain in gains if _mean(gain) > 0]
    lost = sorted((gain for gain in gains if _mean(gain) < 0), key=_mean)
    return gained[:number], lost[:number]


def _mean(gain: ImageGain) -> float:
    return gain.difference.mean or 0.0


def _by_image(counts: Counts) -> dict[str, float | None]:
    found = image_miou(counts.confusion)
    return {image: None if np.isnan(value) else float(value) for image, value in zip(counts.ids, found, strict=True)}


def _differences_on(
    image: str, ours: Iterable[Mapping[str, float | None]], theirs: Iterable[Mapping[str, float | None]]
) -> Iterable[float | None]:
    for mine, yours in zip(ours, theirs, strict=True):
        a, b = mine.get(image), yours.get(image)
        yield None if a is None or b is None else a - b


def _contribution(draws: Draws, alone: str, rest: str) -> Difference:
    """Return what a part adds, from the predictions that are `one`'s in it alone, and everywhere but in it."""
    means = [[draws.methods.index(method) for method in pair] for pair in ((alone, "one"), ("other", rest))]
    two = replace(
        draws,
        methods=("with", "without"),
        observed=np.stack([draws.observed[pair].mean(axis=0) for pair in means]),
        scores=np.stack([draws.scores[:, pair].mean(axis=1) for pair in means], axis=1),
        exchanged=np.stack([draws.exchanged[pair].mean(axis=0) for pair in means]),
    )
    return difference_from_draws(two, "with", "without")
