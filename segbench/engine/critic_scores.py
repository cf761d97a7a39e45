"""Score maps of a critic: as one number a place, and their mean over the places that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def log_odds(scores: Tensor) -> Tensor:
    """Return scores (N, 1, h, w), float32, that are the greater the more real: scores of that shape as they are.

    Of K+1 classes (N, K+1, h, w), the last one fake, it is logsumexp(classes) - fake, the log odds of being real.
    """
    scores = scores.float()
    if scores.shape[1] == 1:
        return scores
    return scores[:, :-1].logsumexp(1, keepdim=True) - scores[:, -1:]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of values (N, 1, h, w) or (N, h, w) over the cells that count; a scalar is returned as it is."""
    if values.ndim == 0:
        return values
    if values.ndim == 3:
        values = values[:, None]
    height, width = values.shape[-2:]
    share = functional.adaptive_avg_pool2d(mask.float(), (height, width))
    return (values * share).sum() / (share.sum() * values.shape[1]).clamp_min(torch.finfo(share.dtype).tiny)
