"""Score a network on a split: one confusion matrix an image, at native resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.store.counts import Counts

from .confusion import classify, confusion_matrices
from .data.batches import evaluation_batches
from .inference import class_scores

if TYPE_CHECKING:
    from segbench.spec.protocol import Window

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
) -> Counts:
    """Return the confusion counts of every image of a split.

    Labels are compared at their native resolution, so the network must give logits of the size of its images. No more
    pixels than those of one batch are held at a time. Leaves the network in evaluation mode.
    """
    network.eval()
    matrices = []
    for batch in evaluation_batches(resident, batch_size, memory_format):
        scores = class_scores(network, batch.images, precision=precision, window=window)
        matrices.append(confusion_matrices(classify(scores), batch.labels, num_classes, ignore_index))
    return Counts(ids=tuple(resident.ids), split=split, confusion=torch.cat(matrices).cpu().numpy())
