"""Score a network on a split: counts of each image, at native resolution, and never a pixel kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.store.counts import Counts

from .calibration import calibration_counts, certainty_of_logits, certainty_of_probabilities
from .confusion import classify, confusion_matrices
from .data.batches import evaluation_batches
from .finite import check_scores, nan_images
from .inference import class_scores
from .label_counts import USUAL_BOUNDARIES, Rules, joined, label_counts, small_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from segbench.spec.protocol import Boundaries, SurfaceDistances, Window

    from .data.batches import Batch
    from .data.resident import ResidentSplit


def evaluate(
    network: torch.nn.Module,
    resident: ResidentSplit,
    *,
    split: str,
    num_classes: int,
    ignore_index: int,
    batch_size: int,
    precision: str,
    memory_format: torch.memory_format,
    window: Window | None,
    boundaries: Boundaries = USUAL_BOUNDARIES,
    surface_distances: SurfaceDistances | None = None,
    clusters: tuple[str, ...] | None = None,
) -> Counts:
    """Return all counts of every image of a split.

    Labels are compared at their native resolution, so the network must give logits of the size of its images. No more
    pixels than those of one batch are held at a time. Leaves the network in evaluation mode. `clusters` are the names
    of the groups that the images belong to. Raises CellError if a score is NaN.
    """
    rules = Rules(num_classes, ignore_index, boundaries, surface_distances)
    certainty_of = certainty_of_logits if window is None else certainty_of_probabilities
    parts = []
    for batch, scores in _scored_batches(network, resident, split, batch_size, precision, memory_format, window):
        prediction = classify(scores)
        small = small_in(resident.packed, batch.indices, batch.labels.device)
        counts = label_counts(prediction, batch.labels, small, rules)
        calibration, likelihood = calibration_counts(scores, prediction, batch.labels, ignore_index, certainty_of)
        parts.append({**counts, "calibration": calibration, "likelihood": likelihood})
    return Counts(ids=tuple(resident.ids), split=split, sizes=resident.sizes, clusters=clusters, **joined(parts))


def confusion_counts(
    network: torch.nn.Module,
    resident: ResidentSplit,
    *,
    split: str,
    num_classes: int,
    ignore_index: int,
    batch_size: int,
    precision: str,
    memory_format: torch.memory_format,
    window: Window | None,
) -> NDArray[np.int64]:
    """Return the confusion counts alone of every image of a split, (n, K, K); otherwise as `evaluate`."""
    matrices = [
        confusion_matrices(classify(scores), batch.labels, num_classes, ignore_index)
        for batch, scores in _scored_batches(network, resident, split, batch_size, precision, memory_format, window)
    ]
    counts: NDArray[np.int64] = torch.cat(matrices).cpu().numpy()
    return counts


def _scored_batches(
    network: torch.nn.Module,
    resident: ResidentSplit,
    split: str,
    batch_size: int,
    precision: str,
    memory_format: torch.memory_format,
    window: Window | None,
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield the images of a split in order, a batch at a time, with what each class scores at each pixel.

    Raises CellError behind the last one if a score is NaN, of which no class would be the largest.
    """
    network.eval()
    nan = []
    for batch in evaluation_batches(resident, batch_size, memory_format):
        scores = class_scores(network, batch.images, precision=precision, window=window)
        nan.append(nan_images(scores))
        yield batch, scores
    check_scores(torch.cat(nan), resident.ids, split, network)
