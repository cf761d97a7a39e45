"""Draw the images of data/shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import DataError, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SMALLEST_PLACE = 6  # pixels a shape needs each way, so that its form can be seen
MOST_FREE_SHAPES = 5
DRAWS = 4  # uniform bytes summed for one value of noise
DRAWS_STD = math.sqrt(DRAWS * (256**2 - 1) / 12)
FIXED_POINT = 1 << 12


@dataclass(frozen=True)
class Scene:
    """What all images have in common; `kinds` and `colours` are by class, from class 1 on."""

    size: tuple[int, int]
    kinds: Sequence[int]
    colours: Sequence[int]
    channels: int
    noise: float
    bits: int
    seed: int


class DrawnSplit:
    """The images of one split, each drawn when asked for, from (seed, split, index)."""

    def __init__(self, scene: Scene, name: str, number: int, count: int):
        self.ids = tuple(f"{name}_{index:05d}" for index in range(count))
        self._scene, self._number = scene, number
        most = -(-len(scene.kinds) // count) + MOST_FREE_SHAPES
        height, width = scene.size
        columns = math.isqrt(most - 1) + 1
        if min(height, width) // columns < SMALLEST_PLACE:
            raise DataError(
                f"shapes: up to {most} shapes do not fit into {height}x{width} pixels; "
                f"choose a size of at least {columns * SMALLEST_PLACE}, fewer classes, or more images in {name}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        number = range(len(self))[index]
        generator = np.random.Generator(np.random.PCG64([self._scene.seed, self._number, number]))
        return Sample(*_draw(self._scene, generator, self._promised(number)), name)

    def _promised(self, number: int) -> list[int]:
        """Return the classes that this image shows for certain; every class is promised by an image of the split."""
        classes = len(self._scene.kinds)
        return [1 + i for i in range(number % classes, classes, len(self))]


def _draw(scene: Scene, generator: np.random.Generator, promised: list[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return image (H, W, C) and labels (H, W)."""
    classes = [*promised, *generator.integers(1, len(scene.kinds) + 1, generator.integers(1, MOST_FREE_SHAPES + 1))]
    labels = np.zeros(scene.size, dtype=np.uint8 if len(scene.kinds) < 255 else np.uint16)
    image = _ground(scene, generator)
    palette = colour_table(max(scene.colours) + 1, scene.channels)
    columns = math.isqrt(len(classes) - 1) + 1
    for place, shape in zip(generator.permutation(columns * columns), classes, strict=False):
        inside = _shape(scene, generator, scene.kinds[shape - 1], divmod(int(place), columns), columns)
        labels[inside] = shape
        image[inside] = palette[scene.colours[shape - 1]] + generator.integers(-16, 17)
    image += _noise(scene, generator)
    image = np.clip(image, 0, 255)
    return (image * 257).astype(np.uint16) if scene.bits == 16 else image.astype(np.uint8), labels


def colour_table(count: int, channels: int) -> NDArray[np.int64]:
    """Return colours (count, C) that the ground does not have: hues in the first three channels, levels in others."""
    steps = 50 * np.arange(count) // count
    levels = np.where(np.arange(count) % 2 == 0, 235 - steps, 20 + steps)
    table = np.repeat(levels[:, None], channels, axis=1)
    if channels >= 3:
        # A hue wheel of 6 * 175 steps; channel c is highest within a third of the wheel around c / 3.
        angle = (6 * 175 * np.arange(count) // count)[:, None] - 2 * 175 * np.arange(3)[None, :]
        distance = np.abs((angle + 3 * 175) % (6 * 175) - 3 * 175)
        table[:, :3] = 40 + np.clip(2 * 175 - distance, 0, 175)
    return table


def _ground(scene: Scene, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return a grey ground, shaded in a random direction, (H, W, C)."""
    height, width = scene.size
    base, down, right = (int(value) for value in generator.integers((110, -20, -20), (131, 21, 21)))
    shade = base + down * np.arange(height)[:, None] // height + right * np.arange(width)[None, :] // width
    return np.repeat(shade[..., None], scene.channels, axis=2)


def _shape(
    scene: Scene, generator: np.random.Generator, kind: int, place: tuple[int, int], columns: int
) -> NDArray[np.bool_]:
    """Return where a shape lies (H, W), inside its place of a grid, so that no shape hides another."""
    height, width = scene.size[0] // columns, scene.size[1] // columns
    half = min(height, width) // 2
    radius = int(generator.integers(max(2, half // 2), half))
    top, left = place[0] * height, place[1] * width
    row = int(generator.integers(top + radius, top + height - radius))
    column = int(generator.integers(left + radius, left + width - radius))
    down = np.arange(scene.size[0])[:, None] - row
    right = np.arange(scene.size[1])[None, :] - column
    return _inside(kind, down, right, radius)


def _inside(kind: int, down: NDArray[np.int64], right: NDArray[np.int64], radius: int) -> NDArray[np.bool_]:
    square = down * down + right * right
    if kind == 0:  # disc
        return square <= radius * radius
    if kind == 1:  # rectangle
        return (np.abs(down) <= radius * 2 // 3) & (np.abs(right) <= radius)
    if kind == 2:  # triangle, point upwards
        return (down <= radius) & (2 * np.abs(right) <= down + radius)
    return (square <= radius * radius) & (4 * square >= radius * radius)  # ring


def _noise(scene: Scene, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return noise of zero mean (H, W, C): sums of uniform bytes, as normal draws differ between machines."""
    drawn = generator.integers(0, 256, (DRAWS, *scene.size, scene.channels), dtype=np.uint8)
    centred = drawn.sum(axis=0, dtype=np.int64) * 2 - DRAWS * 255
    return centred * round(scene.noise * 255 * FIXED_POINT / DRAWS_STD / 2) // FIXED_POINT
