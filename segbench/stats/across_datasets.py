"""What holds over several datasets, each one draw from all on which methods could be compared.

The differences of two methods on the datasets are few numbers whose scatter holds both how datasets differ and what
seeds and images add on each; the interval of their mean is that of Student's t (J. Demsar, "Statistical comparisons of
classifiers over multiple data sets", JMLR 2006, on why datasets and not their images are the draws). A few differences
may agree by luck, so their scatter counts as no less than what seeds and images are known to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from statistics import mean, stdev
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from .difference import MeanDifference
from .summary import CONFIDENCE_LEVEL, Interval
from .variance import quantile
from .verdict import EQUIVALENCE_MARGIN, LEAST_SEEDS_FOR_A_VERDICT, Question, decide, seed_components, seeds_needed

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from .verdict import Decision

Name = TypeVar("Name", bound="Hashable")
# Fewer datasets show too little of how datasets differ, as with seeds.
LEAST_DATASETS = LEAST_SEEDS_FOR_A_VERDICT
RANK_RESAMPLES = 2000


@dataclass(frozen=True)
class OverDatasets:
    """A difference of two methods over datasets, fractions of 1, and the verdict on its mean.

    `needed` is how many datasets in all would decide it if mean and scatter stayed the same; None where 100 do not.
    """

    by_dataset: Mapping[str, float]
    decision: Decision
    needed: int | None


class MeanRank(NamedTuple):
    """The mean rank of a method over datasets, 1 the best, ties in the middle, and its interval where there is one."""

    mean: float
    interval: Interval | None


def judge_over_datasets(
    differences: Mapping[Name, Mapping[str, float]],
    errors: Mapping[Name, Mapping[str, float]] = MappingProxyType({}),
    *,
    margin: float = EQUIVALENCE_MARGIN,
    level: float = CONFIDENCE_LEVEL,
) -> dict[Name, OverDatasets]:
    """Decide the mean of each difference over 2 or more datasets, all as one family; with 2 it is undecided.

    `errors` are the standard errors of differences on their datasets, where they are known on each.
    """
    means = {
        name: _mean_difference(list(found.values()), list(errors.get(name, {}).values()))
        for name, found in differences.items()
    }
    decided = decide(means, margin=margin, level=level) if means else {}
    return {
        name: OverDatasets(
            found,
            decided[name],
            seeds_needed(Question(means[name].estimate, margin, decided[name].level), means[name].components),
        )
        for name, found in differences.items()
    }


def _mean_difference(values: Sequence[float], errors: Sequence[float]) -> MeanDifference:
    """Return the mean of the differences on the datasets, which are as seeds that all images show alike."""
    known = sqrt(mean(error**2 for error in errors)) if len(errors) == len(values) else 0.0
    found, estimate = seed_components(len(values), max(stdev(values), known)), mean(values)
    return MeanDifference(
        estimate=estimate,
        standard_error=found.standard_error,
        freedom=found.freedom,
        seeds=found.seeds,
        images=0,
        units=0,
        seed_variance=found.seed,
        image_variance=found.image,
        interaction_variance=found.interaction,
        image_freedom=found.image_freedom,
        by_seed=dict(enumerate(values)),
        p=found.p(estimate),
    )


def mean_ranks(
    observed: NDArray[np.float64],
    drawn: Sequence[NDArray[np.float64]] = (),
    level: float = CONFIDENCE_LEVEL,
    seed: int = 0,
) -> list[MeanRank]:
    """Return the mean rank of each method over datasets from its scores, `observed` (datasets, methods).

    `drawn` are the scores of the methods in resamples of the seeds and images of each dataset, (resamples, methods).
    Each resample here draws as many datasets as there are, and of each one of its resamples. The percentiles are those
    that make up for few datasets (T. C. Hesterberg, "What teachers should know about the bootstrap", The American
    Statistician 2015). No interval without `drawn`, or with fewer than 3 datasets.
    """
    means = rank(observed).mean(axis=0).tolist()
    if len(drawn) != len(observed) or len(observed) < LEAST_DATASETS:
        return [MeanRank(value, None) for value in means]
    generator, datasets = np.random.default_rng(seed), len(observed)
    of_datasets = [rank(scores) for scores in drawn]
    total = np.zeros((RANK_RESAMPLES, observed.shape[1]))
    for _ in range(datasets):
        chosen = generator.integers(datasets, size=RANK_RESAMPLES)
        for place, ranks in enumerate(of_datasets):
            here = np.flatnonzero(chosen == place)
            total[here] += ranks[generator.integers(len(ranks), size=len(here))]
    tail = _expanded_tail((1 - level) / 2, datasets)
    ends = np.quantile(total / datasets, [tail, 1 - tail], axis=0).T
    return [MeanRank(value, Interval(*map(float, end))) for value, end in zip(means, ends, strict=True)]


def rank(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks of scores (rows, methods) in their rows, 1 the highest, of equal ones the middle of theirs.

    >>> rank(np.array([[0.5, 0.7, 0.5]])).tolist()
    [[2.5, 1.0, 2.5]]
    """
    ranks = np.empty_like(scores)
    for place in range(scores.shape[1]):
        own = scores[:, [place]]
        ranks[:, place] = 0.5 + (scores > own).sum(axis=1) + (scores == own).sum(axis=1) / 2
    return ranks


def _expanded_tail(tail: float, number: int) -> float:
    """Return the probability beyond a normal quantile as far out as that of t for so many draws."""
    far = sqrt(number / (number - 1)) * -quantile(tail, number - 1)
    return erfc(abs(far) / sqrt(2)) / 2
