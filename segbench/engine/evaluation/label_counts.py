"""Count label maps against ground truth image by image, whether a network or another tool made them.

Counted are the confusion of all pixels, of pixels near a boundary and of pixels of small objects, the ignored pixels,
what Boundary IoU and boundary F1 are computed from, and on request surface distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from segbench.config.protocol import Boundaries
from segbench.images.pixels import is_large, row_bands

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
    small objects, bool (N, H, W). Large maps are counted a band of rows at a time.
    """
    first, *others = (_count_rows(prediction, truth, small, rules, rows) for rows in bands_of_rows(*truth.shape[1:]))
    counts = {name: torch.stack([values, *(other[name] for other in others)]).sum(0) for name, values in first.items()}
    if rules.surface_distances is not None:
        maps = encode(prediction, truth.long(), rules.num_classes, rules.ignore_index)
        counts["surface"] = surface_distances(maps, rules.surface_distances.tolerance)
    return counts


def bands_of_rows(height: int, width: int) -> list[slice]:
    """Return the rows of an image that are counted at once: all, but for large images."""
    return list(row_bands(height, width)) if is_large(height, width) else [slice(0, height)]


def _count_rows(
    prediction: torch.Tensor, truth: torch.Tensor, small: torch.Tensor, rules: Rules, rows: slice
) -> dict[str, torch.Tensor]:
    """Count some rows of label maps; what is near a boundary depends on rows beside them."""
    num_classes, ignore_index = rules.num_classes, rules.ignore_index
    height, width = truth.shape[1:]
    widths = rules.boundaries.iou_width, rules.boundaries.f1_tolerance
    depth, tolerance = (width_in_pixels(share, height, width) for share in widths)
    reach = max(depth, tolerance + 1)  # a boundary pixel has its neighbours in the rows beside it
    around = slice(max(0, rows.start - reach), min(height, rows.stop + reach))
    counted = slice(rows.start - around.start, rows.stop - around.start)
    seen = encode(prediction[:, around], truth[:, around].long(), num_classes, ignore_index)
    maps = seen._replace(above=around.start, below=height - around.stop, counted=counted)
    bands = bands_between_classes(maps, depth)
    prediction, truth, small = prediction[:, rows], truth[:, rows].long(), small[:, rows]
    near_boundary, in_small = (truth.masked_fill(~part, ignore_index) for part in (bands[: len(truth), counted], small))
    return {
        "confusion": confusion_matrices(prediction, truth, num_classes, ignore_index),
        "void": (truth == ignore_index).sum(dim=(1, 2)),
        "boundary": boundary_counts(maps, bands, depth, tolerance),
        "band": confusion_matrices(prediction, near_boundary, num_classes, ignore_index),
        "small": confusion_matrices(prediction, in_small, num_classes, ignore_index),
    }


def concatenate(parts: Iterable[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    """Return the counts of all images as arrays on the host, in order, from those of batches."""
    first, *others = parts
    return {
        name: torch.cat([values, *(other[name] for other in others)]).cpu().numpy() for name, values in first.items()
    }
