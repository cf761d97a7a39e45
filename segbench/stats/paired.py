"""What a method changes against its twin, seed by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Mapping

# The fewest seeds with which an exact two-sided sign-flip test can fall below p = 0.05.
ENOUGH_SEEDS = 6


class Paired(NamedTuple):
    """Differences between two methods, one for each seed that both have."""

    seeds: tuple[int, ...]
    differences: tuple[float, ...]

    @property
    def summary(self) -> Summary:
        """Mean and sample standard deviation of the differences."""
        return summarize(self.differences)

    @property
    def is_exploratory(self) -> bool:
        """Whether there are too few seeds for any difference to be significant."""
        return len(self.seeds) < ENOUGH_SEEDS


def paired(one: Mapping[int, float | None], other: Mapping[int, float | None]) -> Paired:
    """Return the differences one - other of the seeds for which both have a value.

    >>> paired({0: 0.5, 1: 0.75, 2: None}, {0: 0.25, 1: 0.25, 2: 0.5}).differences
    (0.25, 0.5)
    """
    pairs = [(seed, one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]
    there = [(seed, a - b) for seed, a, b in pairs if a is not None and b is not None]
    return Paired(tuple(seed for seed, _ in there), tuple(difference for _, difference in there))


def sign_flip_floor(n: int) -> float:
    """Return the smallest two-sided p that an exact sign-flip test over n differences can give, 2 / 2^n.

    >>> sign_flip_floor(3), sign_flip_floor(6)
    (0.25, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))
