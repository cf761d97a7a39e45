"""What a design can see, and how many seeds would settle a question."""

from __future__ import annotations

from typing import NamedTuple

from .variance import Components

# The probability with which an effect of the smallest size is found.
POWER = 0.8

# Nobody trains more than this many seeds in all; where they do not suffice, more images are the way.
MOST_SEEDS = 100


class Question(NamedTuple):
    """A difference as it was estimated, and the margin and level at which it is to be judged."""

    estimate: float
    margin: float
    level: float


def smallest_effect(found: Components, level: float, power: float = POWER) -> float:
    """Return the smallest difference that an interval at this level leaves 0 out for with this probability.

    It is (t_{1-a/2} + t_{power}) SE with a = 1 - level, in the unit of the standard error.

    >>> round(smallest_effect(of_seeds_alone(6, 1.0), 0.95) * 6**0.5, 3)  # 2.571 + 0.920
    3.49
    """
    return (found.critical((1 - level) / 2) + found.critical(1 - power)) * found.standard_error


def seeds_needed(question: Question, found: Components) -> int | None:
    """Return how many seeds in all would settle a question if the estimate and its variances stayed.

    Settled is what leaves 0 outside the interval or the interval inside the margin. The present number if it is settled
    already; None if 100 do not suffice, or if one seed tells nothing of how seeds differ.
    """
    if found.seed is None:
        return None
    for seeds in range(found.seeds, max(found.seeds, MOST_SEEDS) + 1):
        if _is_settled(question, found.with_seeds(seeds)):
            return seeds
    return None


def seeds_for(effect: float, difference_sd: float, level: float, power: float = POWER) -> int | None:
    """Return the fewest seeds with which an effect is seen if only the seeds differ; None if 100 do not suffice.

    `difference_sd` is the standard deviation of one seed's paired difference, in the unit of the effect.

    >>> seeds_for(1.0, 0.5 * 2**0.5, 0.95), seeds_for(0.5, 2**0.5, 0.95)
    (7, 65)
    """
    for seeds in range(2, MOST_SEEDS + 1):
        if smallest_effect(of_seeds_alone(seeds, difference_sd), level, power) <= effect:
            return seeds
    return None


def of_seeds_alone(seeds: int, difference_sd: float) -> Components:
    """Return the components of a mean over seeds, 2 or more, that all images show alike."""
    return Components(seeds, 1.0, difference_sd**2 / seeds, 0.0, 0.0)


def _is_settled(question: Question, found: Components) -> bool:
    reach = found.critical((1 - question.level) / 2) * found.standard_error
    return reach < abs(question.estimate) or abs(question.estimate) + reach <= question.margin
