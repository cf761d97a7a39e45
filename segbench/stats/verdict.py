"""Verdicts on differences between methods: better, worse, equivalent or undecided, for a family of them at once.

A family are the differences that are judged together. Holm's adjustment keeps the chance of any false "better" or
"worse" among them below 1 - level, where the seeds that were run show how seeds differ (docs/measuring.md). Tiers of a
ranking are verdicts on all its pairs. For planning: the smallest difference that a design detects, and the number of
seeds that would decide a question.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from .bootstrap import RESAMPLES
from .measured import measure
from .summary import CONFIDENCE_LEVEL, Interval
from .variance import Components, noncentrality

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from .difference import Difference, MeanDifference
    from .evidence import Evidence
    from .measured import Measured


Verdict = Literal["better", "worse", "equivalent", "undecided"]
Name = TypeVar("Name", bound="Hashable")
# Half an mIoU point: training again with other seeds moves scores by as much.
EQUIVALENCE_MARGIN = 0.005
# The probability with which an effect of the smallest size is found.
WANTED_POWER = 0.8
# Fewer seeds show too little of how seeds differ for any verdict.
LEAST_SEEDS_FOR_A_VERDICT = 3
# Standard deviations of differences over the seeds below it are rounding.
ROUNDING = 1e-12
# The most seeds that are ever suggested; where they do not suffice, more images are needed.
MOST_SEEDS_SUGGESTED = 100


@dataclass(frozen=True)
class Decision:
    """The verdict on a difference, judged together with the other differences of its family.

    `level` is the confidence after Holm's adjustment and `interval` the one at that level, cut to [-1, 1], since scores
    lie in [0, 1].
    """

    difference: MeanDifference
    level: float
    interval: Interval
    verdict: Verdict

    @property
    def obstacle(self) -> Literal["few seeds", "no variance"] | None:
        """What keeps it undecided whatever its interval, if anything does."""
        if self.difference.seeds < LEAST_SEEDS_FOR_A_VERDICT:
            return "few seeds"
        return "no variance" if self.verdict == "undecided" and not _varies(self.difference.components) else None


@dataclass(frozen=True)
class Judgement(Decision):
    """A decision, and what other designs would make of the difference.

    `smallest_effect` is what this design detects with 80 % power at the level. `seeds_needed` is how many seeds in all
    would decide it if estimate and variances stayed the same (the present number if it is decided); None where 100 do
    not suffice, so that more images are needed, and with one seed, which does not show how seeds differ.
    """

    difference: Difference
    smallest_effect: float
    seeds_needed: int | None


def judge(
    differences: Mapping[Name, Difference], *, margin: float = EQUIVALENCE_MARGIN, level: float = CONFIDENCE_LEVEL
) -> dict[Name, Judgement]:
    """Decide each difference of a family, as `decide`, and say what other designs would make of it."""
    decided = decide(differences, margin=margin, level=level)
    return {name: _judgement(found, decided[name], margin) for name, found in differences.items()}


def _judgement(found: Difference, decided: Decision, margin: float) -> Judgement:
    return Judgement(
        found,
        decided.level,
        decided.interval,
        decided.verdict,
        smallest_effect(found.components, decided.level),
        seeds_needed(Question(found.estimate, margin, decided.level), found.components),
    )


def decide(
    differences: Mapping[Name, MeanDifference], *, margin: float = EQUIVALENCE_MARGIN, level: float = CONFIDENCE_LEVEL
) -> dict[Name, Decision]:
    """Decide each difference of a family; the chance of any false "better" or "worse" in it is at most 1 - level.

    A difference whose interval lies within ± margin is "equivalent", even if it leaves 0 out: what is surely too small
    to matter is no gain, however many images show it; but where all seeds give the same difference, as of networks that
    predict one class everywhere, it is "undecided". One with an interval above 0 is "better", below 0 "worse". With
    fewer than 3 seeds it is "undecided", since another seed may give anything, and it takes no part of Holm's steps but
    counts in the family. `margin` is a fraction of 1, as are the differences.
    """
    p = {name: found.p if found.seeds >= LEAST_SEEDS_FOR_A_VERDICT else 1.0 for name, found in differences.items()}
    levels = holm_levels(p, level)
    return {name: _decision(found, margin, levels[name]) for name, found in differences.items()}


def _decision(found: MeanDifference, margin: float, level: float) -> Decision:
    interval = found.interval(level)
    return Decision(
        found,
        level,
        Interval(max(interval.low, -1.0), min(interval.high, 1.0)),
        _verdict(found, interval, margin) if found.seeds >= LEAST_SEEDS_FOR_A_VERDICT else "undecided",
    )


def _verdict(found: MeanDifference, interval: Interval, margin: float) -> Verdict:
    if -margin <= interval.low and interval.high <= margin:
        return "equivalent" if _varies(found.components) else "undecided"
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "undecided"


def _varies(found: Components) -> bool:
    """Return whether the differences of the seeds differ."""
    return found.seed is not None and found.seed * found.seeds > ROUNDING**2


def holm_levels(p: Mapping[Name, float], level: float = CONFIDENCE_LEVEL) -> dict[Name, float]:
    """Return the confidence level of each comparison's interval, from their p values in [0, 1].

    The comparisons are taken from the smallest p on; with k of m found different so far the next is judged at
    1 - (1 - level) / (m - k), equal p at one level. From the first that is not found different on, all keep its level,
    since none of them may be found different any more. An interval at that level leaves 0 out exactly where Holm
    rejects equality (S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979).

    >>> {name: round(level, 4) for name, level in holm_levels({"a": 0.01, "b": 0.5, "c": 0.04}).items()}
    {'a': 0.9833, 'b': 0.975, 'c': 0.975}
    """
    alpha, rejected, stopped = 1 - level, 0, False
    levels: dict[float, float] = {}
    for value, times in sorted(Counter(p.values()).items()):
        share = alpha / (len(p) - rejected)
        levels[value] = 1 - share
        stopped = stopped or value > share
        rejected += 0 if stopped else times
    return {name: levels[value] for name, value in p.items()}


def tiers(
    evidence: Evidence,
    *,
    margin: float = EQUIVALENCE_MARGIN,
    level: float = CONFIDENCE_LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, int]:
    """Return the tier of each method, best mean score first; 1 is the best tier.

    All pairs are judged as one family. From the best method down, a method that is worse than the first of the current
    tier starts the next one. Methods in one tier do not differ significantly from its first, which does not mean that
    they are equivalent. StatisticsError as `crossed_draws`.
    """
    measured = measure(evidence, resamples=resamples, seed=seed)
    return find_tiers(measured, decide_pairs(measured, margin=margin, level=level))


def decide_pairs(
    measured: Measured, *, margin: float = EQUIVALENCE_MARGIN, level: float = CONFIDENCE_LEVEL
) -> dict[tuple[str, str], Decision]:
    """Decide all pairs of methods as one family, in each pair the one with the better mean score first."""
    pairs = {pair: measured.mean_difference(*pair) for pair in combinations(_rank(measured), 2)}
    return decide(pairs, margin=margin, level=level)


def find_tiers(measured: Measured, decided: Mapping[tuple[str, str], Decision]) -> dict[str, int]:
    """Return what `tiers` does, from methods measured together and what `decide_pairs` returned of them."""
    first, *others = _rank(measured)
    found = {first: 1}
    for method in others:
        is_worse = decided[first, method].verdict == "better"
        found[method] = found[first] + is_worse
        first = method if is_worse else first
    return found


def _rank(measured: Measured) -> list[str]:
    """Return the methods, best mean score first."""
    means = dict(zip(measured.methods, measured.draws.observed.mean(axis=1).tolist(), strict=True))
    return sorted(means, key=lambda method: (-means[method], method))


class Question(NamedTuple):
    """A difference as it was estimated, and the margin and level at which it is to be judged."""

    estimate: float
    margin: float
    level: float


def smallest_effect(found: Components, level: float, power: float = WANTED_POWER) -> float:
    """Return the smallest difference that an interval at this level leaves 0 out for with this probability.

    The standard error is estimated as well, so the estimate in standard errors follows a noncentral t; its degrees of
    freedom are those of the interval at this level. In the unit of the standard error.

    >>> [round(smallest_effect(seed_components(seeds, 1.0), 0.95), 2) for seeds in (3, 6)]
    [3.26, 1.43]
    """
    tail = (1 - level) / 2
    return noncentrality(found.critical(tail), found.freedom_at(tail), power) * found.standard_error


def seeds_needed(question: Question, found: Components) -> int | None:
    """Return how many seeds in all would decide a question if the estimate and its variances stayed the same.

    A question is decided as `judge` says, with 3 seeds or more. The present number if it is decided already; None if
    100 do not suffice, or with one seed, which says nothing about how seeds differ.
    """
    if found.seed is None:
        return None
    for seeds in range(max(found.seeds, LEAST_SEEDS_FOR_A_VERDICT), max(found.seeds, MOST_SEEDS_SUGGESTED) + 1):
        if _is_decided(question, found.with_seeds(seeds)):
            return seeds
    return None


def _is_decided(question: Question, found: Components) -> bool:
    reach = found.critical((1 - question.level) / 2) * found.standard_error
    if abs(question.estimate) + reach <= question.margin:
        return _varies(found)
    return reach < abs(question.estimate)


def seeds_for(effect: float, difference_sd: float, level: float, networks: int = 1) -> int | None:
    """Return the fewest seeds with which an effect is seen if only the seeds differ; None if 100 do not suffice.

    `difference_sd` is the standard deviation of one seed's paired difference, in the unit of the effect, and a seed is
    the mean of so many networks.

    >>> seeds_for(1.0, 0.5 * 2**0.5, 0.95), seeds_for(0.5, 2**0.5, 0.95)
    (7, 65)
    """
    for seeds in range(LEAST_SEEDS_FOR_A_VERDICT, MOST_SEEDS_SUGGESTED + 1):
        if smallest_effect(seed_components(seeds, difference_sd, networks), level) <= effect:
            return seeds
    return None


def seed_components(seeds: int, difference_sd: float, networks: float = 1.0) -> Components:
    """Return the components of a mean over seeds, 2 or more, that all images show alike; `networks` are of each."""
    return Components(seeds, 1.0, difference_sd**2 / seeds, 0.0, 0.0, networks)
