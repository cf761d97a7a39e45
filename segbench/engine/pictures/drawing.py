"""Pictures with words: titled tiles, rows of tiles, and a bar that says which colour stands for which number.

Numbers as colours: evenly spaced to the eye, and told apart by people who do not tell red from green.

Both scales are straight lines in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020), in which
equal distances look about equally different. They run between blue, grey or white, and yellow or orange, which all
common forms of colour blindness keep apart, and the sequential one also from dark to light.

Generated images as one picture.

Label maps as pictures: palette images, overlays, and panels of image, truth and prediction.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.floating[Any]]
    Colours = NDArray[np.uint8]
    Labels = NDArray[np.integer[Any]]
    Picture = NDArray[np.uint8]
    Palette = Sequence[Sequence[int]]


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


STEPS = 256


_DARK_BLUE, _YELLOW = (8, 30, 84), (255, 233, 92)


_ORANGE, _NEAR_WHITE, _BLUE = (168, 76, 0), (245, 245, 245), (30, 85, 165)


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
    low, centre, high = (_to_oklab(colour) for colour in (_ORANGE, _NEAR_WHITE, _BLUE))
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


_GRID_GAP = 2  # white pixels between the images


def sample_grid(images: Tensor) -> Image.Image:
    """Return images in a square grid, row by row, empty places in white; what is not finite is grey.

    - images: (N, C, H, W), in [-1, 1]; one channel is shown as grey, of many the first three
    """
    number, _, height, width = images.shape
    levels = (images.detach().float().nan_to_num(0.0).clamp(-1, 1) + 1).mul(127.5).round().byte().cpu().numpy()
    columns = math.ceil(math.sqrt(number))
    rows = math.ceil(number / columns)
    grid = np.full(
        (rows * (height + _GRID_GAP) - _GRID_GAP, columns * (width + _GRID_GAP) - _GRID_GAP, 3), 255, dtype=np.uint8
    )
    for place, image in enumerate(levels):
        top, left = place // columns * (height + _GRID_GAP), place % columns * (width + _GRID_GAP)
        grid[top : top + height, left : left + width] = as_rgb(image)
    return Image.fromarray(grid)


_LARGEST_PALETTE = 256  # what a palette PNG can hold


_PANEL_GAP = 4  # white pixels between the parts of a panel


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
    gap = np.full((truth.shape[0], _PANEL_GAP, 3), 255, dtype=np.uint8)
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
