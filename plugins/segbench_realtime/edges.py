"""Where label maps change class, for heads that are trained to see it.

Ignored pixels, -100, and the border of the image make no boundary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from .auxiliary import IGNORED

if TYPE_CHECKING:
    from torch import Tensor


def class_boundaries(target: Tensor, radius: int) -> Tensor:
    """Return where another class lies within `radius` pixels along both axes.

    - target: (N, H, W), int64
    - returns: (N, H, W), bool, False where the target is ignored
    """
    known = target != IGNORED
    ids = target.unsqueeze(1).float()
    window = {"kernel_size": 2 * radius + 1, "stride": 1, "padding": radius}
    highest = functional.max_pool2d(ids.masked_fill(~known.unsqueeze(1), -torch.inf), **window)
    lowest = -functional.max_pool2d((-ids).masked_fill(~known.unsqueeze(1), -torch.inf), **window)
    return (highest != lowest).squeeze(1) & known


def class_laplacian(target: Tensor) -> Tensor:
    """Return how many of a pixel's eight neighbours are of another class.

    It is the Laplacian (kernel 8 in the centre, -1 around) of the map that is 1 where the pixel's own class is, and so
    does not depend on how classes are numbered.

    - target: (N, H, W), int64
    - returns: (N, H, W), int64, from 0 to 8; 0 where the target is ignored

    >>> class_laplacian(torch.tensor([[[0, 0, 1], [0, 0, 1], [0, 0, -100]]])).tolist()
    [[[0, 2, 2], [0, 2, 3], [0, 1, 0]]]
    """
    height, width = target.shape[-2:]
    padded = functional.pad(target, (1, 1, 1, 1), value=IGNORED)
    shifted = (padded[:, top : top + height, left : left + width] for top in range(3) for left in range(3))
    differing = torch.stack([(neighbour != target) & (neighbour != IGNORED) for neighbour in shifted]).sum(dim=0)
    return differing.masked_fill(target == IGNORED, 0)
