"""Settings for the trials of tuning: combinations of values, dealt without repetition."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def combinations(space: Mapping[str, Sequence[Any]]) -> int:
    """Return how many combinations a space from keys to lists of values has."""
    return math.prod(len(values) for values in space.values())


def dealt(space: Mapping[str, Sequence[Any]], trials: int, seed: int) -> list[dict[str, int]]:
    """Return for each trial which value of each key it gets, by its index in the list; no combination comes twice.

    The values of a key are shuffled by seed, key and value alone and then dealt in turn, as in a Latin hypercube (McKay
    et al. 1979), so each is tried as often as the others, give or take one. Where a combination would come again, the
    key that sorts last skips one. Spaces that give a key the same values thus try the same ones in the same trials, at
    least until something had to be skipped. There must be as many combinations as trials, or more.

    >>> [trial["lr"] for trial in dealt({"lr": [0.1, 0.2, 0.4]}, 3, seed=7)]
    [1, 0, 2]
    >>> [trial["lr"] for trial in dealt({"lr": [0.1, 0.2, 0.4], "weight": [1, 2]}, 3, seed=7)]
    [1, 0, 2]
    """
    hands: list[dict[str, int]] = [{} for _ in range(trials)]
    period = 1  # trials after which the combinations of the keys so far begin anew
    for key in sorted(space):
        deck = _shuffled(key, space[key], seed)
        rounds = math.gcd(period, len(deck))
        before_repeating = math.lcm(period, len(deck))
        for trial, hand in enumerate(hands):
            skipped = trial // before_repeating % rounds
            hand[key] = deck[(trial + skipped) % len(deck)]
        period *= len(deck)
    return hands


def _shuffled(key: str, values: Sequence[Any], seed: int) -> list[int]:
    """Return the indices of the values in an order that no version of a random generator can change."""

    def place(index: int) -> str:
        return hashlib.sha256(json.dumps([seed, key, values[index]], sort_keys=True).encode()).hexdigest()

    return sorted(range(len(values)), key=place)
