"""Batches of which a share is generated."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch

from .batches import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .batches import TrainingBatches

    Synthesise = Callable[[Batch, int], tuple[Tensor, Tensor]]


class SyntheticBatches:
    """Batches whose last samples are generated; over time these are `share` of all, exactly.

    `synthesise` is given real samples from a stream of their own, `originals`, and the step, and returns as many
    images and labels. The first samples of each batch are those of `batches`, unchanged.
    """

    def __init__(
        self, batches: TrainingBatches, originals: TrainingBatches, share: float, synthesise: Synthesise
    ) -> None:
        assert batches.fields is None, "a generated sample has no stored probabilities"
        self.batches = batches
        self.originals = originals
        # The decimal that was written: 90 * 0.7 is below 63 in binary.
        self.per_batch = batches.batch_size * Fraction(str(share))
        self.synthesise = synthesise

    @property
    def images_per_epoch(self) -> int:
        """The number of images of the real split."""
        return self.batches.images_per_epoch

    def at(self, step: int) -> Batch:
        """Return the batch of one optimiser step, counted from 0; a generated sample has the index of its original."""
        batch = self.batches.at(step)
        positions = range(int(step * self.per_batch), int((step + 1) * self.per_batch))
        if not positions:
            return batch
        originals = self.originals.draw(positions, step)
        images, labels = self.synthesise(originals, step)
        kept = len(batch.indices) - len(positions)
        return Batch(
            torch.cat([batch.images[:kept], images]).contiguous(memory_format=self.batches.memory_format),
            torch.cat([batch.labels[:kept], labels]),
            batch.indices[:kept] + originals.indices,
        )
