"""Holm's adjustment for a family of comparisons."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

Name = TypeVar("Name", bound="Hashable")


def holm_levels(p: Mapping[Name, float], level: float = 0.95) -> dict[Name, float]:
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
