"""The fully connected generator of the first GAN."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class FullyConnected(nn.Module):
    """Fully connected layers with ReLU between, whose last layer has one unit a pixel and channel (Goodfellow 2014).

    - noise: (N, Z)
    - returns: images (N, C, H, W) in [-1, 1], H and W as in `size`
    """

    def __init__(self, noise_channels: int, image_channels: int, size: tuple[int, int], hidden: Sequence[int]) -> None:
        super().__init__()
        self.shape = (image_channels, *size)
        self.layers = nn.Sequential()
        for units, next_units in pairwise((noise_channels, *hidden)):
            self.layers.append(nn.Linear(units, next_units))
            self.layers.append(nn.ReLU(inplace=True))
        self.layers.append(nn.Linear(hidden[-1], image_channels * size[0] * size[1]))

    def forward(self, noise: Tensor) -> Tensor:
        """Return the images."""
        return self.layers(noise).tanh().unflatten(1, self.shape)
