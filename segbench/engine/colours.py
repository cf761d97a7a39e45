"""Label maps as pictures: palette images, overlays, and panels of image, truth and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    Labels = NDArray[np.integer[Any]]
    Picture = NDArray[np.uint8]
    Palette = Sequence[Sequence[int]]

_LARGEST_PALETTE = 256  # what a palette PNG can hold
_GAP = 4  # white pixels between the parts of a panel
_OPACITY = 0.5
_IGNORED = (255, 255, 255)


def label_map(labels: Labels, palette: Palette, ignore_index: int) -> Image.Image:
    """Return labels (H, W) as an image whose pixel values are the labels.

    It has 8 bits and a palette with ignored pixels in white; where labels exceed 255 it has 16 bits and no colours.
    """
    if max(len(palette) - 1, ignore_index) >= _LARGEST_PALETTE:
        return Image.fromarray(labels.astype(np.uint16))
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(_colour_table(palette, _LARGEST_PALETTE).tobytes())
    return image


def overlay(image: NDArray[Any], labels: Labels, palette: Palette) -> Picture:
    """Return an image (C, H, W) half covered by the colours of its labels (H, W), as (H, W, 3).

    Ignored pixels are not covered.
    """
    picture = as_rgb(image).astype(np.float32)
    share = np.where(labels < len(palette), np.float32(_OPACITY), np.float32(0))[..., None]
    blended: Picture = np.rint(picture + share * (colours(labels, palette) - picture)).astype(np.uint8)
    return blended


def panel(image: NDArray[Any], truth: Labels, prediction: Labels, palette: Palette) -> Picture:
    """Return image, truth, prediction and the prediction over the image, from left to right, as (H, W', 3)."""
    parts = [as_rgb(image), colours(truth, palette), colours(prediction, palette), overlay(image, prediction, palette)]
    gap = np.full((truth.shape[0], _GAP, 3), 255, dtype=np.uint8)
    return np.concatenate([strip for part in parts for strip in (gap, part)][1:], axis=1)


def colours(labels: Labels, palette: Palette) -> Picture:
    """Return labels (H, W) as colours (H, W, 3), ignored pixels in white."""
    pixels: Picture = _colour_table(palette, len(palette) + 1)[np.minimum(labels, len(palette))]
    return pixels


def outlined(picture: Picture, regions: Labels) -> Picture:
    """Return a picture (H, W, 3) with a black and a white line along the borders of regions (H, W) of one number each.

    The two lines show on any colour: the white one lies outside of the regions with the higher numbers.
    """
    drawn = picture.copy()
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        rises, falls = regions[before] < regions[after], regions[before] > regions[after]
        for pixels, inside, outside in ((before, falls, rises), (after, rises, falls)):
            drawn[pixels][outside] = 255
            drawn[pixels][inside] = 0
    return drawn


def as_rgb(image: NDArray[Any]) -> Picture:
    """Return an image (C, H, W) of 8 or 16 bits as (H, W, 3): one channel as grey, of many the first three.

    16-bit images rarely use their whole range, so the brightest value becomes white.
    """
    channels = image.shape[0]
    chosen = image[[0, 0, 0]] if channels == 1 else image[[0, 1, min(2, channels - 1)]]
    if chosen.dtype != np.uint8:
        chosen = (chosen * (255.0 / max(1, chosen.max()))).astype(np.uint8)
    return np.ascontiguousarray(chosen.transpose(1, 2, 0))


def _colour_table(palette: Palette, length: int) -> Picture:
    """Return the colours of labels 0 to `length` - 1, (length, 3)."""
    table = np.full((length, 3), _IGNORED, dtype=np.uint8)
    table[: len(palette)] = palette
    return table
