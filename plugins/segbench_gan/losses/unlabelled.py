"""Losses of unlabelled images that trust the critic: pixels or images that it believes real train on themselves.

`logits` are (N, K, H, W), `scores` the critic's raw scores of the prediction, (N, 1, H, W). That sigmoid(score) is the
probability of being real holds for critics trained by binary cross-entropy only: gan/non_saturating, gan/minimax,
gan/feature_matching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import cross_entropy, softplus

if TYPE_CHECKING:
    from torch import Tensor


class SemiAdversarial:
    """AdvSemiSeg's loss of unlabelled images (Hung 2018).

    `adversarial` weighs the mean of -log sigmoid(score), `self_training` the cross-entropy of a pixel's own prediction,
    averaged over the pixels where sigmoid(score) > `threshold`; these and their labels carry no gradient.
    """

    def __init__(self, adversarial: float, self_training: float, threshold: float) -> None:
        self.adversarial = adversarial
        self.self_training = self_training
        self.threshold = threshold

    def __call__(self, logits: Tensor, scores: Tensor) -> Tensor:
        """Return the loss."""
        trusted = scores.detach().sigmoid().squeeze(1) > self.threshold  # (N, H, W)
        return self.adversarial * softplus(-scores).mean() + self.self_training * _own_label_loss(logits, trusted)


class SelfTraining:
    """s4GAN's loss of unlabelled images (Mittal 2021): cross-entropy of own predictions in images that look real.

    These are the images whose mean score m has sigmoid(m) > `threshold`; the average is over their pixels.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, logits: Tensor, scores: Tensor) -> Tensor:
        """Return the loss."""
        trusted = scores.detach().mean((2, 3)).sigmoid() > self.threshold  # (N, 1)
        return _own_label_loss(logits, trusted.unsqueeze(2).expand(-1, *logits.shape[2:]))


def _own_label_loss(logits: Tensor, trusted: Tensor) -> Tensor:
    """Return the mean cross-entropy of the most probable classes over trusted pixels (N, H, W), or 0 without any."""
    losses = cross_entropy(logits, logits.argmax(1), reduction="none")
    return (losses * trusted).sum() / trusted.sum().clamp_min(1)
