"""Entropy of predictions, minimised: confidence without a critic, to hold beside what a critic achieves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class LabelledEntropy:
    """Mean entropy, in nats, of softmax(output) over labelled pixels; 0 where all are ignored.

    It rewards confidence, right or wrong; the confidence penalty of Pereyra 2017 is its negative.
    """

    def __init__(self, ignore_index: int) -> None:
        self.ignore_index = ignore_index

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (N, K, H, W) where labels (N, H, W) are not ignored."""
        labelled = target != self.ignore_index
        return (_entropies(output) * labelled).sum() / labelled.sum().clamp_min(1)


def mean_entropy(logits: Tensor) -> Tensor:
    """Return the mean entropy, in nats, of softmax(logits) over pixels (Grandvalet and Bengio 2005)."""
    return _entropies(logits).mean()


def _entropies(logits: Tensor) -> Tensor:
    """Return the entropy of each pixel's prediction, (N, H, W)."""
    # Of logits: a probability may round to 0, whose logarithm is not finite.
    log_probabilities = logits.log_softmax(1)
    return -(log_probabilities.exp() * log_probabilities).sum(1)
