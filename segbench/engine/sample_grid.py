"""Generated images as one picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .colours import as_rgb

if TYPE_CHECKING:
    from torch import Tensor

_GAP = 2  # white pixels between the images


def sample_grid(images: Tensor) -> Image.Image:
    """Return images in a square grid, row by row, empty places in white; what is not finite is grey.

    - images: (N, C, H, W), in [-1, 1]; one channel is shown as grey, of many the first three
    """
    number, _, height, width = images.shape
    levels = (images.detach().float().nan_to_num(0.0).clamp(-1, 1) + 1).mul(127.5).round().byte().cpu().numpy()
    columns = math.ceil(math.sqrt(number))
    rows = math.ceil(number / columns)
    grid = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, dtype=np.uint8)
    for place, image in enumerate(levels):
        top, left = place // columns * (height + _GAP), place % columns * (width + _GAP)
        grid[top : top + height, left : left + width] = as_rgb(image)
    return Image.fromarray(grid)
