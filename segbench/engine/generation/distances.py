"""Distances between images: how much a set varies, and how close it comes to another one.

The distance of two images is the root of the mean square of their difference, over pixels and channels.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Images on each side whose distances are taken at a time.
_BLOCK = 64


def diversity(images: Tensor) -> Tensor:
    """Return the mean distance over all pairs of images, a scalar; NaN for a single image.

    A generator whose images are all the same has 0.

    - images: (N, C, H, W)
    """
    # Distances do not change, and rounding stays small beside them however alike the images are.
    blocks = torch.split((images - images.mean(0)).flatten(1).float(), _BLOCK)
    total = images.new_zeros((), dtype=torch.float32)
    for one, other in combinations_with_replacement(range(len(blocks)), 2):
        distances = _distances(blocks[one], blocks[other])
        total += distances.triu(diagonal=1).sum() if one == other else distances.sum()
    pairs = len(images) * (len(images) - 1) / 2
    return total / pairs if pairs else total * torch.nan


def nearest(images: Tensor, training_images: Tensor) -> Tensor:
    """Return the mean, over images, of the distance to the nearest training image, a scalar.

    A generator that has learnt training images by heart has 0.

    - images: (N, C, H, W)
    - training_images: (M, C, H, W)
    """
    return torch.cat([_nearest(block, training_images) for block in torch.split(images, _BLOCK)]).mean()


def _nearest(images: Tensor, training_images: Tensor) -> Tensor:
    """Return the distance of each image to its nearest training image, (N,)."""
    centre = images.mean(0)
    centred = (images - centre).flatten(1).float()
    rows = [_distances(centred, (block - centre).flatten(1).float()) for block in torch.split(training_images, _BLOCK)]
    found = training_images[torch.cat(rows, dim=1).argmin(1)]
    # Taken anew, since the distance to a copy must be 0 to the last digit.
    return (images - found).float().square().flatten(1).mean(1).sqrt()


def _distances(one: Tensor, other: Tensor) -> Tensor:
    """Return all distances between images (N, P) and (M, P), (N, M)."""
    return torch.cdist(one, other) / math.sqrt(one.shape[1])
