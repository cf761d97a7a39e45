"""The adversarial loss of a critic that classifies pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from segbench import SegbenchError

if TYPE_CHECKING:
    from torch import Tensor


class PerPixelClasses:
    """Cross-entropy over K classes and one more for fake (OASIS, Schönfeld 2021).

    The critic shall see a real pixel's true class, and the last class in every fake one; the generator wants its pixels
    seen as their true class. Losses are means over labelled pixels, 0 without any. If `balanced`, a pixel of class c
    weighs P / (C n_c), with n_c of the P labelled pixels of the batch in c and C classes present: the mean over pixels
    is then a mean over classes. `boundary` refers to logsumexp(class scores) - fake score, the log odds of being real.
    """

    boundary: float | None = 0.0

    def __init__(self, num_classes: int, ignore_index: int, balanced: bool) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.balanced = balanced

    def discriminator(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of scores (N, K+1, h, w) and labels (N, h, w)."""
        self._check(fake)
        fake_losses = -fake.log_softmax(1)[:, self.num_classes]
        return self.generator(real, labels) + self._mean(fake_losses, labels)

    def generator(self, fake: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of scores (N, K+1, h, w) and labels (N, h, w)."""
        self._check(fake)
        losses = cross_entropy(fake, labels, ignore_index=self.ignore_index, reduction="none")
        if self.balanced:
            losses = losses * self._pixel_weights(labels).to(losses)
        return self._mean(losses, labels)

    def _check(self, scores: Tensor) -> None:
        if scores.shape[1] != self.num_classes + 1:
            raise SegbenchError(
                f"gan/per_pixel_classes: the discriminator gives {scores.shape[1]} scores a place; this loss needs "
                f"{self.num_classes + 1}, one for each class and one for fake; take gan/unet"
            )

    def _mean(self, losses: Tensor, labels: Tensor) -> Tensor:
        labelled = labels != self.ignore_index
        return (losses * labelled).sum() / labelled.sum().clamp_min(1)

    def _pixel_weights(self, labels: Tensor) -> Tensor:
        labelled = labels != self.ignore_index
        classes = torch.arange(self.num_classes, device=labels.device).view(1, -1, 1, 1)
        counts = ((labels.unsqueeze(1) == classes) & labelled.unsqueeze(1)).sum((0, 2, 3))
        present = (counts > 0).sum()
        # A class that is absent weighs no pixel, but must not make 1/0.
        weights = labelled.sum() / (present * counts).clamp_min(1)
        return weights[labels.masked_fill(~labelled, 0)]
