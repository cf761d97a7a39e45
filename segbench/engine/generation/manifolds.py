"""Precision and recall of generated images (T. Kynkaanniemi et al., NeurIPS 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOURS = 3

# Points whose distances to all others are taken at a time.
_BLOCK = 256


def precision_and_recall(real: Tensor, fake: Tensor) -> tuple[float, float] | None:
    """Return precision and recall in [0, 1]; None if either set has no more than 3 images.

    The manifold of a set is the union of balls around its points, each of which reaches to the 3rd nearest other point
    of the set. Precision is the share of generated images in the manifold of the real ones, recall the share of real
    images in that of the generated ones.

    - real, fake: features (N, D) and (M, D)
    """
    if min(len(real), len(fake)) <= NEIGHBOURS:
        return None
    return _share_inside(fake, real), _share_inside(real, fake)


def _share_inside(points: Tensor, manifold: Tensor) -> float:
    radii = _radii(manifold)
    inside = [(_distances(block, manifold) <= radii).any(1) for block in torch.split(points, _BLOCK)]
    return float(torch.cat(inside).double().mean())


def _radii(manifold: Tensor) -> Tensor:
    """Return the distance of each point to its 3rd nearest other point, (N,)."""
    # The nearest of all is the point itself.
    return torch.cat(
        [_distances(block, manifold).kthvalue(NEIGHBOURS + 1).values for block in torch.split(manifold, _BLOCK)]
    )


def _distances(one: Tensor, other: Tensor) -> Tensor:
    # By a matrix product, points that coincide would lie apart by rounding.
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
