"""Ratios and means where some values are not defined: NaN in arrays, None as a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Divide, with NaN where there is nothing to divide by.

    >>> ratio([1, 0], [2, 0]).tolist()
    [0.5, nan]
    """
    part, whole = np.broadcast_arrays(part, whole)
    quotients = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=quotients, where=whole > 0)
    return quotients


def means(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the means of the defined values along an axis; NaN where there is none.

    >>> means(np.array([[0.5, np.nan], [1.0, np.nan]]), axis=0).tolist()
    [0.75, nan]
    """
    return ratio(np.nansum(values, axis=axis), (~np.isnan(values)).sum(axis=axis))


def mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the defined values; None if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Return a list with None for what is not defined."""
    return [None if np.isnan(value) else float(value) for value in values]
