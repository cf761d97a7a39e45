"""What is counted of predicted label maps beside the truth, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segbench.spec.protocol import Boundaries

from .boundary import bands_between_classes, boundary_counts, coded, width_in_pixels
from .confusion import confusion_matrices
from .strata import small_objects
from .surface import surface_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from segbench.spec.protocol import SurfaceDistances

    from .data.packed import PackedSplit


USUAL_BOUNDARIES = Boundaries()


@dataclass(frozen=True)
class Rules:
    """By what label maps are counted: how many classes, what is ignored, how wide boundaries are."""

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
    depth, tolerance = (
        width_in_pixels(share, *truth.shape[1:])
        for share in (rules.boundaries.iou_width, rules.boundaries.f1_tolerance)
    )
    maps = coded(prediction, truth, rules.num_classes, rules.ignore_index)
    bands = bands_between_classes(maps, depth)
    counts = {
        "confusion": confusion_of(prediction, truth, rules),
        "void": (truth == rules.ignore_index).sum(dim=(1, 2)),
        "boundary": boundary_counts(maps, bands, depth, tolerance),
        "band": confusion_within(bands[: len(truth)], prediction, truth, rules),
        "small": confusion_within(small, prediction, truth, rules),
    }
    if rules.surface_distances is not None:
        counts["surface"] = surface_distances(maps, rules.surface_distances.tolerance)
    return counts


def confusion_of(prediction: torch.Tensor, truth: torch.Tensor, rules: Rules) -> torch.Tensor:
    """Return the confusion counts of each image, int64 (N, K, K)."""
    return confusion_matrices(prediction, truth, rules.num_classes, rules.ignore_index)


def confusion_within(part: torch.Tensor, prediction: torch.Tensor, truth: torch.Tensor, rules: Rules) -> torch.Tensor:
    """Return the confusion counts of some pixels of each image; `part` is bool (N, H, W)."""
    return confusion_of(prediction, truth.masked_fill(~part, rules.ignore_index), rules)


def small_in(packed: PackedSplit, indices: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return the pixels of small objects in images of one size, bool (N, H, W) on the device.

    They are found on the host, while a CUDA device computes.
    """
    maps = [small_objects(packed.labels(index), packed.num_classes, packed.ignore_index) for index in indices]
    small = torch.from_numpy(np.stack(maps))
    if device.type == "cuda":
        small = small.pin_memory()
    return small.to(device, non_blocking=True)


def joined(parts: Iterable[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    """Return the counts of all images as arrays on the host, in order, from those of batches."""
    first, *others = parts
    return {
        name: torch.cat([values, *(other[name] for other in others)]).cpu().numpy() for name, values in first.items()
    }
