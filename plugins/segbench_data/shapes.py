"""Synthetic images: for tests, and for questions that need a known truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from segbench import DataError, Dataset
from segbench.contract import SPLITS

from .description import default_palette

if TYPE_CHECKING:
    from collections.abc import Mapping

# Larger ones would not end, or not fit into memory.
MOST_IMAGES, MOST_VALUES = 1_000_000, 1 << 26
KINDS = ("disc", "rectangle", "triangle", "ring")


def build(
    *,
    size: tuple[int, int] = (64, 64),
    classes: int = 4,
    train: int = 64,
    val: int = 16,
    test: int = 16,
    channels: int = 3,
    noise: float = 0.08,
    bits: Literal[8, 16] = 8,
    seed: int = 0,
) -> Dataset:
    """Return images of shapes on a noisy ground; the class of a shape is decided by its form and colour together.

    Class 0 is the ground. Every class occurs in every split (an image has more shapes where a split has few images).
    The pixels depend on the options alone: all arithmetic is on integers, drawn from PCG64.

    - `size`: height and width in pixels; with all channels an image has at most 67,108,864 values.
    - `classes`: how many, the ground included; 2 or more.
    - `train`, `val`, `test`: images in each split, at most a million; 0 leaves a split out.
    - `channels`: 1 or more; from 3 on the first three are colours.
    - `noise`: standard deviation of the noise, as a share of the full range.
    - `bits`: 8 or 16 a sample.
    - `seed`: 0 or more; another one gives other images.

    Raises DataError for options out of range, and where the shapes of an image do not fit its size.
    """
    counts = {split: count for split, count in zip(SPLITS, (train, val, test), strict=True) if count != 0}
    _check(classes, counts, size, channels, noise, seed)
    from .drawing import DrawnSplit, Scene

    kinds, colours = forms(classes)
    scene = Scene(size, kinds, colours, channels, noise, bits, seed)
    splits = {split: DrawnSplit(scene, split, SPLITS.index(split), count) for split, count in counts.items()}
    return Dataset(
        classes=("background", *(f"{KINDS[kind]} {colour + 1}" for kind, colour in zip(kinds, colours, strict=True))),
        palette=default_palette(classes),
        splits=splits,
        ignore_index=255 if classes <= 255 else 65535,
        channels=channels,
        licence="CC0 1.0 (public domain)",
        citation="Drawn by segbench (data/shapes).",
    )


def forms(classes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return kind and colour number of classes 1, 2, ...: all pairs of a few kinds and a few colours.

    >>> forms(4)
    ((0, 1, 0), (0, 0, 1))
    """
    objects = classes - 1
    kinds = next((n for n in range(1, len(KINDS)) if n * (n + 1) >= objects), len(KINDS))
    return tuple(i % kinds for i in range(objects)), tuple(i // kinds for i in range(objects))


def _check(
    classes: int, counts: Mapping[str, int], size: tuple[int, int], channels: int, noise: float, seed: int
) -> None:
    allowed = {
        f"classes {classes}": 2 <= classes <= 65535,
        f"train, val, test {dict(counts)}": bool(counts)
        and 0 < min(counts.values()) <= max(counts.values()) <= MOST_IMAGES,
        f"channels {channels}": channels >= 1,
        f"size {list(size)} with channels {channels}": math.prod(size) * channels <= MOST_VALUES,
        f"noise {noise:g}": 0 <= noise <= 1,
        f"seed {seed}": seed >= 0,
    }
    wrong = [given for given, fits in allowed.items() if not fits]
    if wrong:
        raise DataError(
            f"shapes: {wrong[0]} will not do; classes start at 2, channels at 1, seeds at 0, noise is from 0 to 1, "
            f"the images of a split are from 0 to {MOST_IMAGES:,} and not all 0, and an image has at most "
            f"{MOST_VALUES:,} values (height x width x channels)"
        )
