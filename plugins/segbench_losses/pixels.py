"""Losses that are averages over pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from segbench import SegbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class CrossEntropy(nn.Module):
    """Cross-entropy: the mean of -w_y log p_y over pixels with true class y, divided by the mean of w_y.

    With label smoothing e the target is (1 - e) at y and e / K everywhere (Szegedy 2016), each class's term weighing
    its own w; the divisor stays the same.
    """

    def __init__(self, ignore_index: int, class_weights: Sequence[float] | None, label_smoothing: float) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", _as_tensor(class_weights), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        output = exact_logits(output, target)
        weights = _like(self.class_weights, output)
        # torch's own mean is not a number where all pixels are ignored.
        total = functional.cross_entropy(
            output,
            target,
            weights,
            ignore_index=self.ignore_index,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return total / _weight_of(target, weights, self.ignore_index)


class Focal(nn.Module):
    """Focal loss (Lin 2017, equation 5): the mean of -w_y (1 - p_y)^gamma log p_y, divided by the mean of w_y.

    p is the softmax over classes, where the paper has one sigmoid a class; for two classes this is the same.
    """

    def __init__(self, ignore_index: int, class_weights: Sequence[float] | None, gamma: float) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.gamma = gamma
        self.register_buffer("class_weights", _as_tensor(class_weights), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        output = exact_logits(output, target)
        weights = _like(self.class_weights, output)
        surprise = functional.cross_entropy(output, target, ignore_index=self.ignore_index, reduction="none")
        # 1 - p without cancellation; kept from 0, where a root (gamma < 1) has no derivative.
        doubt = (-torch.expm1(-surprise)).clamp_min(torch.finfo(output.dtype).eps)
        losses = doubt**self.gamma * surprise
        if weights is not None:
            losses = losses * weights[_without_ignored(target, self.ignore_index)]
        return losses.sum() / _weight_of(target, weights, self.ignore_index)


class HardPixelCrossEntropy(nn.Module):
    """Cross-entropy over the hard pixels of a batch (online hard example mining, Shrivastava 2016).

    A pixel is hard if p_y < `threshold`. If these are fewer than `min_fraction` of all pixels, so many of the hardest
    are taken instead, with those that tie with the last one, so that the order of pixels does not matter.
    """

    def __init__(self, ignore_index: int, threshold: float, min_fraction: float) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.least_loss = -math.log(threshold)
        self.min_fraction = min_fraction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        output = exact_logits(output, target)
        losses = functional.cross_entropy(output, target, ignore_index=self.ignore_index, reduction="none").flatten()
        valid = (target != self.ignore_index).flatten()
        # Ignored pixels rank last, so that the hardest pixels need not be counted on the host.
        ranked = losses.detach().masked_fill(~valid, -1.0)
        last = ranked.topk(math.ceil(self.min_fraction * ranked.numel())).values[-1]
        hard = valid & ((ranked > self.least_loss) | (ranked >= last))
        return (losses * hard).sum() / hard.sum().clamp_min(1)


def exact_logits(output: Tensor, target: Tensor) -> Tensor:
    """Return logits in a type whose sums over pixels are exact enough; SegbenchError if the target is no label map."""
    if target.is_floating_point():
        raise SegbenchError(
            f"the target is an image {tuple(target.shape)}; the losses of losses/ compare logits with class ids, so "
            "they are for generators that map to labels; for images take gan/l1"
        )
    return output if output.dtype is torch.float64 else output.float()


def _as_tensor(class_weights: Sequence[float] | None) -> Tensor | None:
    return None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)


def _like(class_weights: Tensor | None, output: Tensor) -> Tensor | None:
    return None if class_weights is None else class_weights.to(output)


def _without_ignored(target: Tensor, ignore_index: int) -> Tensor:
    return target.masked_fill(target == ignore_index, 0)


def _weight_of(target: Tensor, weights: Tensor | None, ignore_index: int) -> Tensor:
    """Return the summed weight of the pixels that count, or if there is none a number > 0."""
    valid = target != ignore_index
    if weights is None:
        return valid.sum().clamp_min(1)
    total = (weights[_without_ignored(target, ignore_index)] * valid).sum()
    return total.clamp_min(torch.finfo(weights.dtype).tiny)
