"""Count label maps against ground truth image by image, whether a network or another tool made them.

Counted are the confusion of all pixels, of pixels near a boundary and of pixels of small objects, the ignored pixels,
what Boundary IoU and boundary F1 are computed from, and on request surface distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from segbench.config.protocol import Boundaries

from .boundary import bands_between_classes, boundary_counts, encode, width_in_pixels
from .confusion import confusion_matrices
from .surface import surface_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from segbench.config.protocol import SurfaceDistances


USUAL_BOUNDARIES = Boundaries()


@dataclass(frozen=True)
class Rules:
    """How label maps are counted: the number of classes, the ignored label, the width of boundaries."""

    num_classes: int
    ignore_index: int
    boundaries: Boundaries = USUAL_BOUNDARIES
    surface_distances: SurfaceDistances | None = None


def label_counts(
    prediction: torch.Tensor, truth: torch.Tensor, small: torch.Tensor, rules: Rules
) -> dict[str, torch.Tensor]:
    """Return, under their names in `Counts`, what is counted of label maps (N, H, W) of one size.

    All are on one device, which is waited for only where surface distances are asked for. `small` are the pixels of
    small objects, bool (N, H, W).
    """
    num_classes, ignore_index = rules.num_classes, rules.ignore_index
    depth, tolerance = (
        width_in_pixels(share, *truth.shape[1:])
        for share in (rules.boundaries.iou_width, rules.boundaries.f1_tolerance)
    )
    maps = encode(prediction, truth, num_classes, ignore_index)
    bands = bands_between_classes(maps, depth)
    near_boundary, in_small = (truth.masked_fill(~part, ignore_index) for part in (bands[: len(truth)], small))
    counts = {
        "confusion": confusion_matrices(prediction, truth, num_classes, ignore_index),
        "void": (truth == ignore_index).sum(dim=(1, 2)),
        "boundary": boundary_counts(maps, bands, depth, tolerance),
        "band": confusion_matrices(prediction, near_boundary, num_classes, ignore_index),
        "small": confusion_matrices(prediction, in_small, num_classes, ignore_index),
    }
    if rules.surface_distances is not None:
        counts["surface"] = surface_distances(maps, rules.surface_distances.tolerance)
    return counts


def concatenate(parts: Iterable[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    """Return the counts of all images as arrays on the host, in order, from those of batches."""
    first, *others = parts
    return {
        name: torch.cat([values, *(other[name] for other in others)]).cpu().numpy() for name, values in first.items()
    }
