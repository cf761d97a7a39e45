"""Pictures of label maps and images: palette images, overlays, panels, sample grids; tiles with titles and a legend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segbench.files import make_own_folder
from segbench.images.pixels import row_bands
from segbench.store.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    Labels = NDArray[np.integer[Any]]
    Picture = NDArray[np.uint8]
    Palette = Sequence[Sequence[int]]


_WHITE, _BLACK = 255, 0
_OPACITY = 0.5  # of labels over their image
_LARGEST_PALETTE = 256  # colours that a palette PNG can hold

_PANEL_TITLES = ("image", "truth", "prediction", "overlay")

# White pixels between images of a grid, between parts of a panel, and between and around tiles.
_GRID_GAP, _PANEL_GAP, _TILE_GAP = 2, 4, 8
_FONT_SIZE, _LINE = 13, 20  # height of the letters, and of a line of text, in pixels
_BAR, _TICK = 14, 4  # height of a colour bar and of the marks below it, in pixels

# Tiles are enlarged until words fit above them, and made smaller where they would fill more than a screen.
_SMALLEST, _LARGEST = 208, 512


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all, in place of whatever has its name; RecordError if that cannot be done.

    Its folder is made if it is missing.
    """
    make_own_folder(path.parent)
    with replacing(path) as file:
        picture.save(file, "PNG")


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
    blended = as_rgb(image)
    for rows in row_bands(*labels.shape):
        picture, shown = blended[rows].astype(np.float32), labels[rows]
        share = np.where(shown < len(palette), np.float32(_OPACITY), np.float32(0))[..., None]
        blended[rows] = np.rint(picture + share * (colour_labels(shown, palette) - picture)).astype(np.uint8)
    return blended


def panel(image: NDArray[Any], truth: Labels, prediction: Labels, palette: Palette) -> Picture:
    """Return image, truth, prediction and the prediction over the image, from left to right below their titles."""
    labels = [colour_labels(truth, palette), colour_labels(prediction, palette)]
    parts = _arrange([as_rgb(image), *labels, overlay(image, prediction, palette)], 4, _PANEL_GAP)
    width = image.shape[2]
    titles = [((i * (width + _PANEL_GAP), 0), _cut(title, width)) for i, title in enumerate(_PANEL_TITLES)]
    return np.concatenate([_write(_blank(_LINE, parts.shape[1]), titles), parts])


def split_panel(picture: Picture, height: int) -> tuple[Picture, Picture]:
    """Return from what `panel` made the image, of this height, and the colours of the truth, (H, W, 3) both.

    Panels of older versions have no titles, so they are as high as their image.
    """
    parts = picture[-height:]
    width = (parts.shape[1] - 3 * _PANEL_GAP) // 4
    return parts[:, :width], parts[:, width + _PANEL_GAP :][:, :width]


def labels_of_colours(picture: Picture, palette: Palette, ignore_index: int) -> Labels:
    """Return the labels (H, W) of what `colour_labels` made; of classes of one colour the first, white is ignored."""
    labels = np.full(picture.shape[:2], ignore_index, dtype=np.uint16)
    for label in reversed(range(len(palette))):
        labels[(picture == np.asarray(palette[label])).all(axis=2)] = label
    return labels


def sample_grid(images: Tensor) -> Image.Image:
    """Return images in a square grid, row by row, empty places in white; values that are not finite are grey.

    - images: (N, C, H, W), in [-1, 1]; one channel is shown as grey, of many the first three
    """
    levels = (images.detach().float().nan_to_num(0.0).clamp(-1, 1) + 1).mul(127.5).round().byte().cpu().numpy()
    tiles = [as_rgb(image) for image in levels]
    return Image.fromarray(_arrange(tiles, math.ceil(math.sqrt(len(tiles))), _GRID_GAP))


def colour_labels(labels: Labels, palette: Palette) -> Picture:
    """Return labels (H, W) as colours (H, W, 3), ignored pixels in white."""
    pixels: Picture = _colour_table(palette, len(palette) + 1)[np.minimum(labels, np.uint32(len(palette)))]
    return pixels


def as_rgb(image: NDArray[Any]) -> Picture:
    """Return an image (C, H, W) of 8 or 16 bits as (H, W, 3): one channel as grey, of many the first three.

    16-bit images rarely use their whole range, so the brightest value becomes white.
    """
    channels = image.shape[0]
    chosen = image[[0, 0, 0]] if channels == 1 else image[[0, 1, min(2, channels - 1)]]
    if chosen.dtype != np.uint8:
        chosen = (chosen * (255.0 / max(1, chosen.max()))).astype(np.uint8)
    return np.ascontiguousarray(chosen.transpose(1, 2, 0))


def outline(picture: Picture, regions: Labels) -> Picture:
    """Return a picture (H, W, 3) with a black and a white line along the borders of regions (H, W) of one number each.

    The two lines show on any colour: the white one lies outside of the regions with the higher numbers.
    """
    drawn = picture.copy()
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        rises, falls = regions[before] < regions[after], regions[before] > regions[after]
        for pixels, inside, outside in ((before, falls, rises), (after, rises, falls)):
            drawn[pixels][outside] = _WHITE
            drawn[pixels][inside] = _BLACK
    return drawn


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which an image is shown.

    >>> tile_size(48, 64), tile_size(300, 400), tile_size(1024, 2048)
    ((156, 208), (300, 400), (256, 512))
    """
    longest = max(height, width)
    wanted = min(max(longest, _SMALLEST), _LARGEST)
    return max(1, round(height * wanted / longest)), max(1, round(width * wanted / longest))


def resample(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return pixels (..., H, W) at another size, each taken from the nearest one, so that labels stay labels."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, pixels.shape[-2:], strict=True)
    )
    return pixels[..., rows[:, None], columns]


def add_title(picture: Picture, title: str) -> Picture:
    """Return a picture (H, W, 3) below a line of text, which is cut where it is wider than a small tile."""
    height, width = picture.shape[:2]
    canvas = _blank(_LINE + height, max(width, _SMALLEST))
    canvas[_LINE:, :width] = picture
    return _write(canvas, [((0, 0), _cut(title, canvas.shape[1]))])


def arrange_tiles(tiles: Sequence[Picture], columns: int) -> Picture:
    """Return pictures (H, W, 3) in rows of at most `columns`, with white between and around them."""
    return _arrange(tiles, columns, _TILE_GAP, margin=_TILE_GAP)


def stack(pictures: Sequence[Picture]) -> Picture:
    """Return pictures (H, W, 3) below one another, white where one is narrower than another."""
    width = max(picture.shape[1] for picture in pictures)
    padding = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    return np.concatenate(
        [np.pad(picture, pad, constant_values=_WHITE) for picture, pad in zip(pictures, padding, strict=True)]
    )


def colour_bar(table: Picture, marks: Sequence[str], width: int) -> Picture:
    """Return a bar of the colours (n, 3) over `width` pixels, with texts below at equal distances from end to end."""
    canvas = _blank(_TILE_GAP + _BAR + _TICK + _LINE, width)
    ends = (_TILE_GAP, width - _TILE_GAP - 1)
    places = np.linspace(0, len(table) - 1, ends[1] - ends[0] + 1).round().astype(np.intp)
    canvas[:_BAR, ends[0] : ends[1] + 1] = table[places]
    texts = []
    for place, text in zip(np.linspace(*ends, len(marks)).round().astype(int).tolist(), marks, strict=True):
        canvas[_BAR : _BAR + _TICK, place] = _BLACK
        left = min(max(place - _text_width(text) // 2, ends[0]), ends[1] + 1 - _text_width(text))
        texts.append(((max(left, 0), _BAR + _TICK), text))
    return _write(canvas, texts)


def _colour_table(palette: Palette, length: int) -> Picture:
    """Return the colours of labels 0 to `length` - 1, (length, 3); white beyond the palette."""
    table = np.full((length, 3), _WHITE, dtype=np.uint8)
    table[: len(palette)] = palette
    return table


def _arrange(tiles: Sequence[Picture], columns: int, gap: int, margin: int = 0) -> Picture:
    """Return pictures in rows of at most `columns`, with `gap` white pixels between and `margin` around them."""
    height, width = (max(tile.shape[axis] for tile in tiles) + gap for axis in (0, 1))
    rows, columns = -(-len(tiles) // columns), min(columns, len(tiles))
    canvas = _blank(rows * height - gap + 2 * margin, columns * width - gap + 2 * margin)
    for place, tile in enumerate(tiles):
        top, left = margin + place // columns * height, margin + place % columns * width
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def _blank(height: int, width: int) -> Picture:
    return np.full((height, width, 3), _WHITE, dtype=np.uint8)


def _write(canvas: Picture, texts: Sequence[tuple[tuple[int, int], str]]) -> Picture:
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for place, text in texts:
        draw.text(place, text, fill=(_BLACK, _BLACK, _BLACK), font=_font())
    return np.asarray(image)


def _cut(text: str, width: int) -> str:
    while text and _text_width(text) > width:
        text = text.removesuffix("...")[:-1] + "..." if len(text) > len("...") else ""
    return text


def _text_width(text: str) -> int:
    """Return the width of a text in pixels."""
    return int(np.ceil(_font().getlength(text)))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)
