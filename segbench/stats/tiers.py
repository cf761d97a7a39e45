"""Ranks that chance does not make."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from .bootstrap import RESAMPLES, crossed_draws
from .difference import drawn_difference
from .verdict import MARGIN, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .bootstrap import Draws
    from .evidence import Evidence
    from .verdict import Verdict


def tiers(
    evidence: Evidence, *, margin: float = MARGIN, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, int]:
    """Return the tier of each method, best mean score first; 1 is the best tier.

    All pairs are judged as one family. From the best method down, a method that is worse than the first of the current
    tier starts the next one; so methods of one tier were not told apart from its first, which is not to say that they
    are as good. StatisticsError as `crossed_draws`.
    """
    return drawn_tiers(crossed_draws(evidence, resamples, seed), margin=margin, level=level)


def drawn_tiers(draws: Draws, *, margin: float = MARGIN, level: float = 0.95) -> dict[str, int]:
    """Return what `tiers` does, from draws made once for intervals and tiers."""
    means = dict(zip(draws.methods, draws.observed.mean(axis=1).tolist(), strict=True))
    ranking = sorted(means, key=lambda method: (-means[method], method))
    pairs = {pair: drawn_difference(draws, *pair) for pair in combinations(ranking, 2)}
    verdicts = {pair: found.verdict for pair, found in judge(pairs, margin=margin, level=level).items()}
    return _walk(ranking, verdicts)


def _walk(ranking: list[str], verdicts: Mapping[tuple[str, str], Verdict]) -> dict[str, int]:
    """Return the tiers of a ranking from the verdicts on (higher, lower) pairs."""
    first, found = ranking[0], {ranking[0]: 1}
    for method in ranking[1:]:
        is_worse = verdicts[first, method] == "better"
        found[method] = found[first] + is_worse
        first = method if is_worse else first
    return found
