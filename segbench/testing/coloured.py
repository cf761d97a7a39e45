"""Images whose classes are decided by colour: four quadrants each, of one class and colour apiece."""

from __future__ import annotations

import math

import torch

from segbench.engine.data.batches import Batch

# How far pixels stray from their class's colour, which lies at least 1 from any other for up to 8 classes in RGB.
NOISE = 0.05


def class_colours(num_classes: int, channels: int) -> torch.Tensor:
    """Return a colour (num_classes, channels) in [-1, 1] for each class: the points of a grid, as coarse as will do."""
    levels = max(2, math.ceil(num_classes ** (1 / channels) - 1e-9))
    classes = torch.arange(num_classes)
    digits = [classes // levels**place % levels for place in range(channels)]
    colours: torch.Tensor = torch.stack(digits, dim=1) * (2.0 / (levels - 1)) - 1.0
    return colours


def palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Return the colours of classes in RGB, 0 to 255."""
    red, green, blue = (class_colours(num_classes, 3).add(1).mul(127.5).round().int().T).tolist()
    return list(zip(red, green, blue, strict=True))


def coloured_batch(number: int, channels: int, num_classes: int, size: tuple[int, int], seed: int = 0) -> Batch:
    """Return images (number, channels, *size) in [-1, 1] with their labels and, for refiners, uniform probabilities."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack([_quadrants(num_classes, size, generator) for _ in range(number)])
    images = class_colours(num_classes, channels)[labels].movedim(-1, 1).contiguous()
    images = (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(-1, 1)
    probabilities = torch.full((number, num_classes, *size), 1 / num_classes)
    return Batch(images, labels, tuple(range(number)), probabilities)


def nearest_class(images: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Return for images (N, C, H, W) the class (N, H, W) whose colour in (K, C) is nearest."""
    return torch.cdist(images.movedim(1, -1), colours.to(images)).argmin(dim=-1)


def _quadrants(num_classes: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Return labels of `size` in four quadrants of different classes, as far as there are so many."""
    order = torch.randperm(num_classes, generator=generator)
    height, width = size
    rows, columns = (torch.arange(length) * 2 // length for length in (height, width))
    return order[(2 * rows[:, None] + columns) % num_classes]
