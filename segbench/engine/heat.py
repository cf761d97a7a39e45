"""Numbers as colours: evenly spaced to the eye, and told apart by people who do not tell red from green.

Both scales are straight lines in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020), in which
equal distances look about equally different. They run between blue, grey or white, and yellow or orange, which all
common forms of colour blindness keep apart, and the sequential one also from dark to light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Colours = NDArray[np.uint8]

STEPS = 256
_DARK_BLUE, _YELLOW = (8, 30, 84), (255, 233, 92)
_ORANGE, _WHITE, _BLUE = (168, 76, 0), (245, 245, 245), (30, 85, 165)

# From linear sRGB to the responses of the three cones, and from their cube roots to OKLab.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def sequential(values: Array) -> Colours:
    """Return values from 0 (dark blue) to 1 (yellow) as colours, (..., 3); others are clipped."""
    return _looked_up(sequential_table(), values)


def diverging(values: Array, centre: float) -> Colours:
    """Return values as colours, (..., 3): white at `centre`, orange below it, blue above it.

    Both sides have one scale, which ends at the value that lies farthest from the centre (`span`).
    """
    return _looked_up(diverging_table(), 0.5 + (values - centre) / (2 * span(values, centre)))


def span(values: Array, centre: float) -> float:
    """Return how far values lie from `centre` at most; 1 where they all are equal to it."""
    return float(np.abs(values - centre).max()) or 1.0


def sequential_table() -> Colours:
    """Return the colours of 0 to 1 in even steps, (STEPS, 3)."""
    return _to_srgb(np.linspace(_to_oklab(_DARK_BLUE), _to_oklab(_YELLOW), STEPS))


def diverging_table() -> Colours:
    """Return the colours from the lowest to the highest value in even steps, (STEPS, 3)."""
    low, centre, high = (_to_oklab(colour) for colour in (_ORANGE, _WHITE, _BLUE))
    reach = min(np.linalg.norm(end - centre) for end in (low, high))
    low, high = (centre + (end - centre) * reach / np.linalg.norm(end - centre) for end in (low, high))
    position = np.linspace(-1, 1, STEPS)[:, None]
    return _to_srgb(centre + np.abs(position) * (np.where(position < 0, low, high) - centre))


def _looked_up(table: Colours, positions: Array) -> Colours:
    """Return the colours of positions 0 to 1 in a table; what is no number counts as 0."""
    finite = np.nan_to_num(np.asarray(positions, dtype=np.float64))
    colours: Colours = table[np.rint(np.clip(finite, 0, 1) * (STEPS - 1)).astype(np.intp)]
    return colours


def _to_oklab(colour: tuple[int, int, int]) -> Array:
    """Return an sRGB colour of 0 to 255 in OKLab, (3,)."""
    encoded = np.array(colour) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    oklab: Array = _OKLAB @ np.cbrt(_CONES @ linear)
    return oklab


def _to_srgb(oklab: Array) -> Colours:
    """Return OKLab colours (n, 3) as sRGB of 0 to 255, clipped to what a screen shows."""
    linear = np.clip((oklab @ np.linalg.inv(_OKLAB).T) ** 3 @ np.linalg.inv(_CONES).T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: Colours = np.rint(encoded * 255).astype(np.uint8)
    return colours
