"""The differences of two methods in all their scores, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from segbench.errors import StatisticsError

from .bootstrap import RESAMPLES
from .difference import difference
from .evidence import boundary_evidence, common_seeds, iou_evidence
from .scores import boundary_f1_by_image, image_miou, scores
from .summary import CONFIDENCE_LEVEL, Interval, Summary, summarize
from .variance import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.store.counts import Counts

    from .evidence import Evidence

    BySeed = Mapping[int, Counts]
    MakeEvidence = Callable[[Mapping[str, BySeed]], Evidence]
    Shares = tuple[NDArray[np.float64], NDArray[np.float64]]


Over = Literal["seeds and images", "images", "seeds"]
# Evidence is in whole numbers; these are the units in which sums over pixels, and scores of an image, are whole.
PIXEL_UNIT = 2.0**-24
IMAGE_UNIT = 2.0**-40
LOWER_IS_BETTER = frozenset({"ece", "nll", "brier", "hd95"})


@dataclass(frozen=True)
class ScoreDifference:
    """A score of two methods over their common seeds, and score(one) - score(other) with its interval.

    `over` says what the interval covers: seeds and images; the images alone with one seed; or the seeds alone, for a
    score that is no mean over images or pixels. The interval of such a score is None with one seed.
    """

    name: str
    one: Summary
    other: Summary
    difference: Summary
    interval: Interval | None
    over: Over


class _Covered(NamedTuple):
    """An interval, and what varies in it."""

    interval: Interval | None
    over: Over


def score_differences(
    names: Sequence[str], one: BySeed, other: BySeed, *, level: float = CONFIDENCE_LEVEL, resamples: int = RESAMPLES
) -> list[ScoreDifference]:
    """Return the differences in scores, by the names of their fields in `Scores`; what was not counted is left out.

    Raises StatisticsError if there are no common seeds.
    """
    seeds = common_seeds({"one": one, "other": other})
    ours, theirs = ([scores(counts[seed]).model_dump() for seed in seeds] for counts in (one, other))
    found = []
    for name in names:
        mine, yours = [each[name] for each in ours], [each[name] for each in theirs]
        if None not in mine and None not in yours:
            differences = summarize(a - b for a, b in zip(mine, yours, strict=True))
            covered = _over_images(name, one, other, level, resamples) or _Covered(
                over_seeds(differences, level), "seeds"
            )
            found.append(ScoreDifference(name, summarize(mine), summarize(yours), differences, *covered))
    return found


def _over_images(name: str, one: BySeed, other: BySeed, level: float, resamples: int) -> _Covered | None:
    """Return the interval over seeds and images; None for a score that is no mean over images or pixels."""
    if (evidence := _EVIDENCE.get(name)) is None:
        return None
    found = difference(evidence({"one": one, "other": other}), "one", "other", resamples=resamples)
    return _Covered(found.interval(level), "seeds and images" if found.seeds > 1 else "images")


def over_seeds(differences: Summary, level: float = CONFIDENCE_LEVEL) -> Interval | None:
    """Return Student's interval of a mean over seeds; None with fewer than two.

    >>> low, high = over_seeds(summarize([1.0, 2.0, 3.0]))  # 2 +- 4.303 / sqrt(3)
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    mean, sd, n = differences
    if mean is None or sd is None:
        return None
    half = quantile((1 + level) / 2, n - 1) * sd / sqrt(n)
    return Interval(mean - half, mean + half)


def _pixel_accuracy(counts: Counts) -> Shares:
    return np.trace(counts.confusion, axis1=1, axis2=2).astype(np.float64), _pixels(counts)


def _nll(counts: Counts) -> Shares:
    return _likelihood(counts)[:, 0], _pixels(counts)


def _brier(counts: Counts) -> Shares:
    return _likelihood(counts)[:, 1], _pixels(counts)


def _per_image_miou(counts: Counts) -> Shares:
    return _where_defined(image_miou(counts.confusion))


def _boundary_f1(counts: Counts) -> Shares:
    if counts.boundary is None:
        raise StatisticsError("boundary F1 was not counted; run the cells again with this segbench")
    return _where_defined(boundary_f1_by_image(counts.boundary))


def _likelihood(counts: Counts) -> NDArray[np.float64]:
    if counts.likelihood is None:
        raise StatisticsError("the likelihood was not counted; run the cells again with this segbench")
    return counts.likelihood


def _pixels(counts: Counts) -> NDArray[np.float64]:
    pixels: NDArray[np.float64] = counts.confusion.sum(axis=(1, 2)).astype(np.float64)
    return pixels


def _where_defined(values: NDArray[np.float64]) -> Shares:
    """Return the shares whose mean is that of the defined values."""
    return np.nan_to_num(values), (~np.isnan(values)).astype(np.float64)


def _evidence_by_image(shares: Callable[[Counts], Shares], unit: float) -> MakeEvidence:
    """Return a function that makes the evidence of a score from its two shares in each image, in units of `unit`."""

    def evidence(counts: Mapping[str, BySeed]) -> Evidence:
        found = iou_evidence(counts)
        cells = [[_whole_numbers(shares, by_seed[seed], unit) for seed in found.seeds] for by_seed in counts.values()]
        hits, whole = np.moveaxis(np.array(cells), 2, 0)
        return replace(found, hits=hits, whole=whole)

    return evidence


def _whole_numbers(shares: Callable[[Counts], Shares], counts: Counts, unit: float) -> NDArray[np.int64]:
    """Return both shares of the images, in the order of their ids, as multiples of a unit: (2, images, classes)."""
    order = np.argsort(np.array(counts.ids))
    found = np.stack(shares(counts))[:, order] / unit
    return np.rint(found).astype(np.int64).reshape(*found.shape[:2], -1)


_EVIDENCE: Mapping[str, MakeEvidence] = {
    "pixel_accuracy": _evidence_by_image(_pixel_accuracy, 1.0),
    "nll": _evidence_by_image(_nll, PIXEL_UNIT),
    "brier": _evidence_by_image(_brier, PIXEL_UNIT),
    "per_image_miou": _evidence_by_image(_per_image_miou, IMAGE_UNIT),
    "boundary_f1": _evidence_by_image(_boundary_f1, IMAGE_UNIT),
    "boundary_iou": boundary_evidence,
}
