"""Pictures with words: titled tiles, rows of tiles, and a bar that says which colour stands for which number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .colours import Picture

_FONT_SIZE = 13
_LINE = 20  # pixels of height of a line of text
_GAP = 8  # white pixels between and around tiles
_BAR = 14  # pixels of height of a colour bar
_TICK = 4
# Tiles are enlarged until words fit above them, and made smaller where they would fill more than a screen.
_SMALLEST, _LARGEST = 208, 512
_WHITE, _BLACK = 255, (0, 0, 0)


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which an image is shown.

    >>> tile_size(48, 64), tile_size(300, 400), tile_size(1024, 2048)
    ((156, 208), (300, 400), (256, 512))
    """
    longest = max(height, width)
    wanted = min(max(longest, _SMALLEST), _LARGEST)
    return max(1, round(height * wanted / longest)), max(1, round(width * wanted / longest))


def resampled(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return pixels (..., H, W) at another size, each taken from the nearest one, so that labels stay labels."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, pixels.shape[-2:], strict=True)
    )
    return pixels[..., rows[:, None], columns]


def titled(picture: Picture, title: str) -> Picture:
    """Return a picture (H, W, 3) below a line of text, which is cut where it is wider than a small tile."""
    height, width = picture.shape[:2]
    canvas = _blank(_LINE + height, max(width, _SMALLEST))
    canvas[_LINE:, :width] = picture
    return _with_text(canvas, [((0, 0), _cut(title, canvas.shape[1]))])


def tiled(tiles: Sequence[Picture], columns: int) -> Picture:
    """Return pictures (H, W, 3) in rows of at most `columns`, with white between and around them."""
    height, width = (max(tile.shape[axis] for tile in tiles) + _GAP for axis in (0, 1))
    rows, columns = -(-len(tiles) // columns), min(columns, len(tiles))
    canvas = _blank(rows * height + _GAP, columns * width + _GAP)
    for place, tile in enumerate(tiles):
        top, left = _GAP + place // columns * height, _GAP + place % columns * width
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def stacked(pictures: Sequence[Picture]) -> Picture:
    """Return pictures (H, W, 3) below one another, white where one is narrower than another."""
    width = max(picture.shape[1] for picture in pictures)
    padding = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    return np.concatenate(
        [np.pad(picture, pad, constant_values=_WHITE) for picture, pad in zip(pictures, padding, strict=True)]
    )


def colour_bar(table: Picture, marks: Sequence[str], width: int) -> Picture:
    """Return a bar of the colours (n, 3) over `width` pixels, with texts below at equal distances from end to end."""
    canvas = _blank(_GAP + _BAR + _TICK + _LINE, width)
    ends = (_GAP, width - _GAP - 1)
    places = np.linspace(0, len(table) - 1, ends[1] - ends[0] + 1).round().astype(np.intp)
    canvas[:_BAR, ends[0] : ends[1] + 1] = table[places]
    texts = []
    for place, text in zip(np.linspace(*ends, len(marks)).round().astype(int).tolist(), marks, strict=True):
        canvas[_BAR : _BAR + _TICK, place] = 0
        left = min(max(place - _length(text) // 2, ends[0]), ends[1] + 1 - _length(text))
        texts.append(((max(left, 0), _BAR + _TICK), text))
    return _with_text(canvas, texts)


def _blank(height: int, width: int) -> Picture:
    return np.full((height, width, 3), _WHITE, dtype=np.uint8)


def _with_text(canvas: Picture, texts: Sequence[tuple[tuple[int, int], str]]) -> Picture:
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for place, text in texts:
        draw.text(place, text, fill=_BLACK, font=_font())
    return np.asarray(image)


def _cut(text: str, width: int) -> str:
    while text and _length(text) > width:
        text = text.removesuffix("...")[:-1] + "..." if len(text) > len("...") else ""
    return text


def _length(text: str) -> int:
    """Return the width of a text in pixels."""
    return int(np.ceil(_font().getlength(text)))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)
