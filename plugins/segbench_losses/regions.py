"""Losses of whole regions: overlap of predicted and true class over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from .pixels import exact_logits

if TYPE_CHECKING:
    from torch import Tensor


class Tversky(nn.Module):
    """Tversky loss (Salehi 2017): 1 - TP / (TP + alpha FP + beta FN), averaged over the classes present.

    TP, FP and FN of a class are sums over the pixels of the batch, with probabilities as predictions. With alpha =
    beta = 1/2 the fraction is the soft Dice coefficient (Milletari 2016, without its squares), with 1 and 1 the soft
    IoU. `smooth` is added above and below the fraction bar.
    """

    def __init__(self, ignore_index: int, alpha: float, beta: float, smooth: float) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.alpha = alpha
        self.beta = beta
        self.smooth = smooth

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        probabilities = exact_logits(output, target).softmax(1)
        valid = (target != self.ignore_index).unsqueeze(1)
        classes = torch.arange(output.shape[1], device=target.device).view(1, -1, 1, 1)
        truth = (target.unsqueeze(1) == classes) & valid  # (N, K, H, W)
        pixels = (0, 2, 3)
        overlap = (probabilities * truth).sum(pixels)
        false_positives = (probabilities * (valid & ~truth)).sum(pixels)
        size = truth.sum(pixels)
        false_negatives = size - overlap
        union = overlap + self.alpha * false_positives + self.beta * false_negatives + self.smooth
        # A class that is absent may have an empty union; it does not count, but must not make 0/0.
        losses = 1 - (overlap + self.smooth) / union.clamp_min(torch.finfo(union.dtype).eps)
        present = size > 0
        return (losses * present).sum() / present.sum().clamp_min(1)


class LovaszSoftmax(nn.Module):
    """Lovász-Softmax loss (Berman 2018, equations 9 and 11): the convex extension of 1 - IoU to probabilities.

    A pixel's error for a class is 1 - p if it is the true one, else p. The pixels of the batch are ranked by error, and
    each error counts as much as 1 - IoU grows when its pixel joins the wrong ones before it. The mean is over the
    classes present in the batch, or over all.
    """

    def __init__(self, ignore_index: int, classes: str) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.classes = classes

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        num_classes = output.shape[1]
        probabilities = exact_logits(output, target).softmax(1).movedim(1, 0).reshape(num_classes, -1)
        labels = target.flatten()
        valid = labels != self.ignore_index
        losses, present = [], []
        for class_id, predicted in enumerate(probabilities):
            truth = (labels == class_id) & valid
            losses.append(_extended_jaccard_loss(predicted, truth, valid))
            present.append(truth.any() if self.classes == "present" else valid.any())
        counted = torch.stack(present)
        return (torch.stack(losses) * counted).sum() / counted.sum().clamp_min(1)


def _extended_jaccard_loss(predicted: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return the Lovász extension of 1 - IoU at the errors of one class; all are (P,)."""
    # Below every error, ignored pixels rank last and add nothing to those before them.
    errors = torch.where(truth, 1 - predicted, predicted).masked_fill(~valid, -1.0)
    errors, order = errors.sort(descending=True)
    truth, valid = truth[order], valid[order]
    true_pixels = truth.sum()
    # Counted in integers: exact, and deterministic on every device. The differences are too small for float32.
    intersection = true_pixels - truth.cumsum(0)
    union = true_pixels + (~truth).cumsum(0)
    jaccard_loss = 1 - intersection.double() / union
    growth = torch.diff(jaccard_loss, prepend=jaccard_loss.new_zeros(1))
    return (errors * (growth * valid).to(errors.dtype)).sum()
