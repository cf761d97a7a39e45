"""Scores of how sure a network is, from sums by image: `calibration` (n, 15, 3) and `likelihood` (n, 2) of Counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .defined import mean, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray


def expected_calibration_error(calibration: NDArray[np.float64]) -> float | None:
    """Return the mean over pixels of how far, bin by bin, the top probability is from the share that is right (ece).

    >>> expected_calibration_error(np.array([[[4.0, 3.0, 2.0], [1.0, 0.5, 1.0]]]))  # |3 - 2| and |0.5 - 1| of 5 pixels
    0.3
    """
    pixels, top, right = np.moveaxis(calibration.sum(axis=0), -1, 0)
    return mean(ratio(np.abs(top - right).sum(), pixels.sum()))


def negative_log_likelihood(likelihood: NDArray[np.float64], pixels: float) -> float | None:
    """Return the mean over pixels of -log p(true class) in nats (nll); `pixels` is the number of labelled ones."""
    return mean(ratio(likelihood[:, 0].sum(), pixels))


def brier(likelihood: NDArray[np.float64], pixels: float) -> float | None:
    """Return the mean over pixels of the Brier score (brier/sum); `pixels` is the number of labelled ones."""
    return mean(ratio(likelihood[:, 1].sum(), pixels))
