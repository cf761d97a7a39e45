"""Whether a method is better, worse or as good as another, or whether this cannot be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .holm import Name, holm_levels
from .power import Question, seeds_needed, smallest_effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .difference import Difference
    from .intervals import Interval

Verdict = Literal["better", "worse", "equivalent", "undecided"]

# Half an mIoU point: training again with other seeds moves scores by as much.
MARGIN = 0.005


@dataclass(frozen=True)
class Judgement:
    """What may be said of a difference among the family of comparisons it was made with.

    `level` is the confidence after Holm's adjustment and `interval` the one at that level. `smallest_effect` is what
    this design could have seen with 80 % power at that level. `seeds_needed` are the seeds in all that would settle it
    if estimate and variances stayed (the present number if it is settled); None where 100 would not, so that more
    images are needed, and with one seed, which tells nothing of how seeds differ.
    """

    difference: Difference
    level: float
    interval: Interval
    verdict: Verdict
    smallest_effect: float
    seeds_needed: int | None


def judge(
    differences: Mapping[Name, Difference], *, margin: float = MARGIN, level: float = 0.95
) -> dict[Name, Judgement]:
    """Judge each difference of a family; the chance of any false "better" or "worse" in it is at most 1 - level.

    A difference whose interval lies within ± margin is "equivalent", even if it leaves 0 out: what is surely too small
    to matter is no gain, however many images show it. One with an interval above 0 is "better", below 0 "worse". With
    one seed it is "undecided", since another seed may give anything, and it takes no part of Holm's steps but counts
    in the family. `margin` is a fraction of 1, as are the differences.
    """
    levels = holm_levels({name: found.p if found.seeds > 1 else 1.0 for name, found in differences.items()}, level)
    return {name: _judgement(found, margin, levels[name]) for name, found in differences.items()}


def _judgement(found: Difference, margin: float, level: float) -> Judgement:
    interval = found.interval(level)
    return Judgement(
        found,
        level,
        interval,
        _verdict(interval, margin) if found.seeds > 1 else "undecided",
        smallest_effect(found.components, level),
        seeds_needed(Question(found.estimate, margin, level), found.components),
    )


def _verdict(interval: Interval, margin: float) -> Verdict:
    if -margin <= interval.low and interval.high <= margin:
        return "equivalent"
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "undecided"
