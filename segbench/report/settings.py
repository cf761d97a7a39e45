"""How two methods are compared."""

from __future__ import annotations

from typing import NamedTuple

from segbench.stats.bootstrap import RESAMPLES
from segbench.stats.verdict import MARGIN


class Settings(NamedTuple):
    """The margin of "equivalent" and the level of confidence, fractions of 1, and how many images are named.

    `images` are so many of the largest gains and as many of the largest losses, `resamples` those of the bootstrap.
    """

    margin: float = MARGIN
    level: float = 0.95
    images: int = 5
    resamples: int = RESAMPLES


DEFAULTS = Settings()
