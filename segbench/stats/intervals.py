"""Intervals around estimates."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """A closed interval, in the unit of what it is about; fractions of 1 for scores and their differences."""

    low: float
    high: float
