"""The sign-flip test over seeds, which knows nothing of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# The fewest seeds with which an exact two-sided sign-flip test can fall below p = 0.05.
ENOUGH_SEEDS = 6

# With more differences than this, signs are drawn: 2^20 sums are a million.
EXACT_UP_TO = 20
DRAWN_SIGNS = 100_000

# Sums that differ only by rounding count as equal.
ROUNDING = 1e-12


def sign_flip_p(differences: Iterable[float]) -> float:
    """Return the two-sided p of the mean difference when the signs of the differences are left to chance.

    Exact up to 20 differences: the share of all 2^n choices of signs with a sum at least as far from 0. Beyond, signs
    are drawn with a fixed seed and what was seen counts as one of the draws (B. Phipson and G. K. Smyth, "Permutation
    p-values should never be zero", 2010). 1 if there are no differences.

    >>> sign_flip_p([0.01, 0.02, 0.03])
    0.25
    """
    values = np.array(list(differences), dtype=np.float64)
    bound = abs(values.sum()) - ROUNDING * np.abs(values).sum()
    if len(values) <= EXACT_UP_TO:
        return float(np.mean(np.abs(_all_sums(values)) >= bound))
    reached = int(np.sum(np.abs(_drawn_sums(values)) >= bound))
    return (reached + 1) / (DRAWN_SIGNS + 1)


def sign_flip_floor(n: int) -> float:
    """Return the smallest two-sided p that an exact sign-flip test over n differences can give, 2 / 2^n.

    >>> sign_flip_floor(3), sign_flip_floor(6)
    (0.25, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums with each choice of signs, shape (2^n,)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _drawn_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums with signs drawn at random."""
    signs = np.random.default_rng(0).integers(2, size=(DRAWN_SIGNS, len(values)), dtype=np.int8)
    sums: NDArray[np.float64] = (2.0 * signs - 1) @ values
    return sums
