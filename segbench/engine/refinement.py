"""What a refiner changed in its base's predictions, and how much of it rightly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.store.record import Refinement

from .confusion import classify
from .data.batches import evaluation_batches
from .inference import class_scores
from .precision import memory_format

if TYPE_CHECKING:
    from segbench.spec.protocol import Protocol

    from .data.resident import ResidentSplit
    from .network import Refined


def refinement_on(split: ResidentSplit, refined: Refined, protocol: Protocol, ignore_index: int) -> Refinement:
    """Return the shares of labelled pixels that the refiner changed, and of these corrected and spoilt."""
    refined.eval()
    totals = torch.zeros(4, dtype=torch.int64)
    for batch in evaluation_batches(split, protocol.batch_size, memory_format(protocol.channels_last)):
        before, after = (
            classify(class_scores(network, batch.images, precision=protocol.precision, window=protocol.window))
            for network in (refined.base, refined)
        )
        totals += pixel_changes(before, after, batch.labels, ignore_index).cpu()
    return shares(totals)


def pixel_changes(before: torch.Tensor, after: torch.Tensor, truth: torch.Tensor, ignore_index: int) -> torch.Tensor:
    """Return the numbers of labelled, changed, corrected and spoilt pixels, int64 (4,), of label maps (N, H, W)."""
    valid = truth != ignore_index
    changed = valid & (before != after)
    return torch.stack(
        [pixels.sum() for pixels in (valid, changed, changed & (after == truth), changed & (before == truth))]
    )


def shares(totals: torch.Tensor) -> Refinement:
    """Return the shares that the numbers of `pixel_changes` make."""
    labelled, changed, corrected, spoilt = totals.tolist()
    return Refinement(
        changed=changed / max(labelled, 1),
        corrected=corrected / changed if changed else None,
        spoilt=spoilt / changed if changed else None,
    )
