"""Score a network on a split: per-image counts of its predictions against ground truth.

Labels are compared at their own resolution, to which what is predicted for resized images is resized; a batch at a
time, so no more pixels than those of one batch are held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.engine.data.batches import evaluation_batches
from segbench.engine.data.samples import clusters_of
from segbench.engine.numerics import memory_format
from segbench.stats.scores import miou
from segbench.store.counts import Counts
from segbench.store.record import Refinement

from .calibration import calibration_counts, measure_logits, measure_probabilities
from .confusion import classify, confusion_matrices
from .finite import check_scores, find_nan_images
from .inference import score_pixels
from .label_counts import Rules, concatenate, label_counts
from .small_objects import find_small_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from segbench.config.protocol import TrainingProtocol
    from segbench.config.resize import Size
    from segbench.contract import Dataset
    from segbench.engine.data.batches import Batch
    from segbench.engine.data.resident import ResidentSplit
    from segbench.engine.model.network import Refined


def evaluate(network: nn.Module, resident: ResidentSplit, protocol: TrainingProtocol, dataset: Dataset) -> Counts:
    """Return all counts of every image of a split.

    The network must return logits of the size of its images and is left in evaluation mode. Raises CellError if a score
    is NaN, DataError if the dataset's `cluster` does not return names of groups.
    """
    rules = Rules(len(dataset.classes), dataset.ignore_index, protocol.boundaries, protocol.surface_distances)
    measure = measure_probabilities if protocol.averages else measure_logits
    parts = []
    for batch, scores in _score_batches(network, resident, protocol):
        prediction = classify(scores)
        small = find_small_objects(resident.packed, batch.indices, batch.labels.device)
        counts = label_counts(prediction, batch.labels, small, rules)
        calibration, likelihood = calibration_counts(scores, prediction, batch.labels, dataset.ignore_index, measure)
        parts.append({**counts, "calibration": calibration, "likelihood": likelihood})
    return Counts(
        ids=resident.ids,
        split=resident.packed.split,
        sizes=resident.sizes,
        clusters=clusters_of(dataset, resident.ids),
        **concatenate(parts),
    )


def confusion_counts(
    network: nn.Module, resident: ResidentSplit, protocol: TrainingProtocol, dataset: Dataset
) -> NDArray[np.int64]:
    """Return the confusion counts alone of every image of a split, (n, K, K); otherwise as `evaluate`."""
    matrices = [
        confusion_matrices(classify(scores), batch.labels, len(dataset.classes), dataset.ignore_index)
        for batch, scores in _score_batches(network, resident, protocol)
    ]
    counts: NDArray[np.int64] = torch.cat(matrices).cpu().numpy()
    return counts


def validation_miou(network: nn.Module, resident: ResidentSplit, protocol: TrainingProtocol, dataset: Dataset) -> float:
    """Return the mIoU of a network on a split from one view of each image, in [0, 1]; 0 where it is undefined."""
    plain = protocol.model_copy(update={"tta": None})
    return miou(confusion_counts(network, resident, plain, dataset).sum(axis=0)) or 0.0


def _score_batches(
    network: nn.Module, resident: ResidentSplit, protocol: TrainingProtocol
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield the images of a split in order, a batch at a time, with the score of each class at each pixel.

    Raises CellError after the last one if a score is NaN, since then no class has the largest.
    """
    network.eval()
    nan = []
    for batch in evaluation_batches(resident, protocol.batch_size, memory_format(protocol.channels_last)):
        scores = score_pixels(network, batch.images, protocol, label_size(batch))
        nan.append(find_nan_images(scores))
        yield batch, scores
    check_scores(torch.cat(nan), resident.ids, resident.packed.split, network)


def label_size(batch: Batch) -> Size:
    """Return the (height, width) of a batch's labels."""
    return batch.labels.shape[1], batch.labels.shape[2]


def measure_refinement(
    refined: Refined, resident: ResidentSplit, protocol: TrainingProtocol, dataset: Dataset
) -> Refinement:
    """Return the shares of labelled pixels that a refiner changed, and of these corrected and spoilt."""
    refined.eval()
    totals = torch.zeros(4, dtype=torch.int64)
    for batch in evaluation_batches(resident, protocol.batch_size, memory_format(protocol.channels_last)):
        before, after = (
            classify(score_pixels(network, batch.images, protocol, label_size(batch)))
            for network in (refined.base, refined)
        )
        totals += pixel_changes(before, after, batch.labels, dataset.ignore_index).cpu()
    return change_shares(totals)


def pixel_changes(before: torch.Tensor, after: torch.Tensor, truth: torch.Tensor, ignore_index: int) -> torch.Tensor:
    """Return the numbers of labelled, changed, corrected and spoilt pixels, int64 (4,), of label maps (N, H, W)."""
    valid = truth != ignore_index
    changed = valid & (before != after)
    return torch.stack(
        [pixels.sum() for pixels in (valid, changed, changed & (after == truth), changed & (before == truth))]
    )


def change_shares(totals: torch.Tensor) -> Refinement:
    """Return the shares that the numbers of `pixel_changes` make."""
    labelled, changed, corrected, spoilt = totals.tolist()
    return Refinement(
        changed=changed / max(labelled, 1),
        corrected=corrected / changed if changed else None,
        spoilt=spoilt / changed if changed else None,
    )
