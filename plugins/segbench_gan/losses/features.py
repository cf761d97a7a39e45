"""Adversarial losses of a critic's features, lists of tensors (N, ...) of the real and of the fake batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import l1_loss, softplus

from segbench import SegbenchError

from .adversarial import binary_cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Distance = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


class FeatureMatching:
    """Feature matching (Salimans 2016): the generator minimises a distance between features of real and fake.

    `distance` is `distance_of_means` or `distance_of_pairs`; `adversarial` is the weight of a non-saturating term
    beside it. The discriminator's loss is the binary cross-entropy of its scores.
    """

    boundary: float | None = 0.0

    def __init__(self, distance: Distance, adversarial: float) -> None:
        self.distance = distance
        self.adversarial = adversarial

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the binary cross-entropy, one value a score."""
        return binary_cross_entropy(real, fake)

    def generator(self, fake: Tensor, real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
        """Return at every score the distance, and the weighted -log sigmoid(fake)."""
        return self.distance(real_features, fake_features) + self.adversarial * softplus(-fake)


def distance_of_means(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Return the distance of the batch's mean features (as in s4GAN, Mittal 2021), a scalar.

    A channel's mean is over the batch and all positions. The distance is the mean absolute difference over channels,
    averaged over features, so that it does not grow with the critic's width or depth.
    """
    return distance_of_pairs(
        [_channel_means(feature) for feature in real_features], [_channel_means(feature) for feature in fake_features]
    )


def distance_of_pairs(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Return the distance of each fake to its own real (pix2pixHD, Wang 2018), a scalar.

    It is the mean absolute difference over the elements of a feature, averaged over features.
    """
    pairs = zip(fake_features, real_features, strict=True)
    return torch.stack([l1_loss(fake, real) for fake, real in pairs]).mean()


class FeatureL1:
    """SegAN's loss (Xue 2018): the mean absolute difference of all features of a real and its fake, as one vector.

    The segmenter minimises it and the critic maximises it, which needs bounded weights (the recipe's `clip`, 0.05 in
    the authors' code). A large feature map counts as much as it has elements; `weights` multiply each feature.
    """

    boundary: float | None = None

    def __init__(self, weights: Sequence[float] | None) -> None:
        self.weights = weights

    def discriminator(self, real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
        """Return the distance, negated."""
        return -self.generator(real_features, fake_features)

    def generator(self, real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
        """Return the distance, a scalar."""
        weights = self._weights_of(len(fake_features))
        pairs = zip(weights, real_features, fake_features, strict=True)
        total = torch.stack([weight * (real - fake).abs().sum() for weight, real, fake in pairs]).sum()
        return total / sum(feature.numel() for feature in fake_features)

    def _weights_of(self, features: int) -> Sequence[float]:
        if self.weights is None:
            return [1.0] * features
        if len(self.weights) != features:
            raise SegbenchError(
                f"gan/segan_l1: weights has {len(self.weights)} numbers; the discriminator has {features} features, "
                "give one number for each"
            )
        return self.weights


def _channel_means(feature: Tensor) -> Tensor:
    """Return the mean of each channel of a feature (N, C, ...) over batch and positions, (C,)."""
    return feature.transpose(0, 1).flatten(1).mean(1)
