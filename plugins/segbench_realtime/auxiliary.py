"""Losses of auxiliary heads: what a network adds in training for outputs that inference drops.

Targets are (N, H, W) int64, ignored pixels being -100, as segbench hands them to `auxiliary_loss`. Logits
(N, K, h, w) of any size are resized to the target (bilinear, align_corners=False). Losses are computed in float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.nn import functional

from .blocks import resized_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

# The label that torch's losses ignore unless told otherwise.
IGNORED = -100


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy per pixel, averaged over pixels that are not ignored; 0 if all are.

    - logits: (N, K, h, w)
    - target: (N, H, W), int64
    """
    total = functional.cross_entropy(_fitted(logits, target), target, reduction="sum")
    return total / (target != IGNORED).sum().clamp_min(1)


def hard_pixel_cross_entropy(
    logits: Tensor, target: Tensor, threshold: float = 0.7, least_share: float = 1 / 16
) -> Tensor:
    """Return the cross-entropy averaged over the hard pixels alone (OHEM); 0 if all pixels are ignored.

    A pixel is hard if its true class gets a probability below `threshold`, in (0, 1]. If these are fewer than
    `least_share` of all pixels of the batch, the pixels of largest loss join them. Shrivastava 2016 (arXiv 1604.03540);
    in segmentation, "bootstrapped" cross-entropy: Wu 2016 (arXiv 1604.04339).

    - logits: (N, K, h, w)
    - target: (N, H, W), int64
    """
    losses = functional.cross_entropy(_fitted(logits, target), target, reduction="none").flatten()
    least = max(1, int(least_share * losses.numel()))
    # The smallest of the largest losses is a tensor, so that a GPU need not be waited for.
    limit = losses.detach().topk(least).values[-1].clamp_max(-math.log(threshold))
    hard = (losses.detach() >= limit) & (target.flatten() != IGNORED)
    return losses.where(hard, 0.0).sum() / hard.sum().clamp_min(1)


def weighted_sum(
    heads: Sequence[Tensor],
    target: Tensor,
    weights: Sequence[float],
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> Tensor:
    """Return the sum over heads of weight times loss.

    - heads: logits, each (N, K, h, w) of a size of its own; one weight each
    """
    terms = [weight * loss(logits, target) for logits, weight in zip(heads, weights, strict=True)]
    return sum(terms[1:], terms[0])


def _fitted(logits: Tensor, target: Tensor) -> Tensor:
    return resized_to(logits.float(), tuple(target.shape[-2:]))
