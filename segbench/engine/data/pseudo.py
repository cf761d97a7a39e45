"""Batches whose labels are what another network sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.engine.inference import class_scores

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.engine.inference import Network

    from .batches import Batch, TrainingBatches


class PseudoLabelledBatches:
    """Unlabelled batches with the labels that a finished segmenter gives them.

    Pixels outside the image, and those where its highest class probability is below `threshold`, are `ignore_index`.
    The network is in evaluation mode; `batches` hide the true labels (`with_labels=False`), void pixels included.
    """

    def __init__(
        self, batches: TrainingBatches, network: Network, threshold: float, ignore_index: int, precision: str
    ) -> None:
        assert not batches.with_labels, "what is truly void must not be known of unlabelled images"
        self.batches = batches
        self.network = network
        self.threshold = threshold
        self.ignore_index = ignore_index
        self.precision = precision

    @property
    def images_per_epoch(self) -> int:
        """The number of images of the whole split."""
        return self.batches.images_per_epoch

    def at(self, step: int) -> Batch:
        """Return the batch of one optimiser step, counted from 0."""
        batch = self.batches.at(step)
        return batch._replace(labels=self._labels(batch))

    def _labels(self, batch: Batch) -> Tensor:
        """Return the network's labels of a batch, (N, h, w) int64."""
        scores = class_scores(self.network, batch.images, precision=self.precision, window=None)
        confidence, labels = scores.softmax(dim=1).max(dim=1)
        known = (confidence >= self.threshold) & (batch.labels != self.batches.ignore_index)
        # The result of masked_fill is no inference tensor any more, so a loss may keep it for its backward pass.
        return labels.masked_fill(~known, self.ignore_index)
