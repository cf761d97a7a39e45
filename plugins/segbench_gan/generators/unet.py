"""The U-Net of pix2pix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from .layers import draw_weights, normalisation

if TYPE_CHECKING:
    from torch import Tensor

    from .layers import Norm

# Isola 2017, appendix 6.1: dropout in the first three blocks of the decoder.
DROPOUT, DROPOUT_BLOCKS = 0.5, 3


class DropoutAtTest(nn.Dropout):
    """Dropout in training and in evaluation alike, so that two predictions of one image differ."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, each 0 with probability p, and the others 1 / (1 - p) times as large."""
        return functional.dropout(features, self.p, training=True)


class UNet(nn.Module):
    """4x4 convolutions of stride 2 down to 1/2^depth of the size, and transposed ones back up, joined at every scale.

    The channels are width times 1, 2, 4, 8, 8, ... The coarsest features are not normalised: in a batch of one image
    they may be a single pixel. Dropout follows the first three decoder blocks of 8 * width channels, which at depth 8
    are those of the paper; a shallower network has fewer. Isola 2017, appendix 6.1.

    - images: (N, C, H, W), H and W multiples of 2^depth
    - returns: (N, out_channels, H, W), not squashed
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int, depth: int, norm: Norm, dropout_at_test: bool
    ) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        channels = [width * min(2**level, 8) for level in range(depth)]
        self.encoder = _encoder(in_channels, channels, norm)
        self.decoder = _decoder(out_channels, channels, norm, DropoutAtTest if dropout_at_test else nn.Dropout)
        draw_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, one value a pixel and channel."""
        skips = [images]
        for block in self.encoder:
            skips.append(block(skips[-1]))
        features = self.decoder[0](skips.pop())
        for block in self.decoder[1:]:
            features = block(torch.cat([features, skips.pop()], dim=1))
        return features


def _encoder(in_channels: int, channels: list[int], norm: Norm) -> nn.ModuleList:
    blocks = nn.ModuleList([_convolution(in_channels, channels[0])])
    for level in range(1, len(channels)):
        block = nn.Sequential(nn.LeakyReLU(0.2), _convolution(channels[level - 1], channels[level]))
        if level < len(channels) - 1:
            block.append(normalisation(norm, channels[level]))
        blocks.append(block)
    return blocks


def _decoder(out_channels: int, channels: list[int], norm: Norm, dropout: type[nn.Dropout]) -> nn.ModuleList:
    blocks = nn.ModuleList()
    for level in reversed(range(1, len(channels))):
        joined = channels[level] if level == len(channels) - 1 else 2 * channels[level]
        block = nn.Sequential(nn.ReLU(), _transposed_convolution(joined, channels[level - 1], bias=False))
        block.append(normalisation(norm, channels[level - 1]))
        if channels[level - 1] == 8 * channels[0] and len(blocks) < DROPOUT_BLOCKS:
            block.append(dropout(DROPOUT))
        blocks.append(block)
    blocks.append(nn.Sequential(nn.ReLU(), _transposed_convolution(2 * channels[0], out_channels, bias=True)))
    return blocks


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False)


def _transposed_convolution(in_channels: int, out_channels: int, *, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)
