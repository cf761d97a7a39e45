"""The discriminator of OASIS (Schönfeld 2021, section 3.1): a U-Net that segments real images and finds fakes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from .layers import SLOPE, outputs_of
from .normalisation import normalisation
from .padding import crop, pad

if TYPE_CHECKING:
    from torch import Tensor


class UNetDiscriminator(nn.Module):
    """An encoder-decoder of residual blocks with skips, `depth` of each, of which OASIS has six.

    Widths of the encoder are 2w, 2w, 4w, 4w, 8w, 8w, 8w, ... and those of the decoder the same in reverse, but w at the
    end. It ends in K + 1 scores a pixel: those of the K classes, then that of a fake pixel.

    It returns what the authors' code (github.com/boschresearch/OASIS) returns. First weights are torch's, there drawn
    as Glorot 2010 does, times 0.02; a normalisation of features, and padding, are additions.

    - x: (N, C, H, W); padded with zeros to a multiple of 2^depth pixels, with a normalisation at least 2^(depth + 1)
    - returns: scores (N, K + 1, H, W)
    """

    def __init__(self, in_channels: int, num_classes: int, depth: int, width: int, norm: str) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        # A normalisation needs more than one position in the coarsest map.
        self.minimum_size = 2**depth if norm == "none" else 2 ** (depth + 1)
        widths = [width * min(2 ** (block // 2), 8) for block in range(2, depth + 2)]
        self.encoder = nn.ModuleList(
            [first_block(in_channels, widths[0], norm), *(halving_block(*ends, norm) for ends in pairwise(widths))]
        )
        outputs = [*reversed(widths[:-1]), width]
        inputs = [widths[-1], *(2 * joined for joined in outputs[:-1])]
        self.decoder = nn.ModuleList(doubling_block(*ends, norm) for ends in zip(inputs, outputs, strict=True))
        self.head = nn.Conv2d(width, num_classes + 1, kernel_size=1)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the encoder, fine to coarse, then those of the decoder, coarse to fine."""
        encoded = outputs_of(self.encoder, self._padded(x))
        decoded = [self.decoder[0](encoded[-1])]
        for block, skip in zip(self.decoder[1:], reversed(encoded[:-1]), strict=True):
            decoded.append(block(torch.cat([skip, decoded[-1]], dim=1)))
        return encoded + decoded

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return crop(self.head(self.features(x)[-1]), *x.shape[-2:])

    def _padded(self, x: Tensor) -> Tensor:
        sides = (max(side, self.minimum_size) for side in x.shape[-2:])
        return pad(x, *(-(-side // self.size_multiple) * self.size_multiple for side in sides))


class ResidualBlock(nn.Module):
    """The sum of what `residual` and `shortcut` make of the features."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return self.shortcut(x) + self.residual(x)


def first_block(in_channels: int, out_channels: int, norm: str) -> ResidualBlock:
    """Return the block that takes the image, which is not activated, and halves its size."""
    residual = nn.Sequential(*_convolutions(in_channels, out_channels, norm), nn.AvgPool2d(2))
    return ResidualBlock(residual, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(in_channels, out_channels, 1)))


def halving_block(in_channels: int, out_channels: int, norm: str) -> ResidualBlock:
    """Return a block that averages its sum over 2x2 cells."""
    residual = nn.Sequential(
        *_activated(in_channels, norm), *_convolutions(in_channels, out_channels, norm), nn.AvgPool2d(2)
    )
    return ResidualBlock(residual, nn.Sequential(_projection(in_channels, out_channels), nn.AvgPool2d(2)))


def doubling_block(in_channels: int, out_channels: int, norm: str) -> ResidualBlock:
    """Return a block that repeats each cell 2x2 times before its convolutions."""
    residual = nn.Sequential(
        *_activated(in_channels, norm), nn.Upsample(scale_factor=2), *_convolutions(in_channels, out_channels, norm)
    )
    # Projected before cells are repeated: the same values for a quarter of the work.
    return ResidualBlock(residual, nn.Sequential(_projection(in_channels, out_channels), nn.Upsample(scale_factor=2)))


def _convolutions(in_channels: int, out_channels: int, norm: str) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=norm == "none"),
        *_activated(out_channels, norm),
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
    ]


def _activated(channels: int, norm: str) -> list[nn.Module]:
    # Not in place: what is read is also the shortcut, and a skip.
    return [normalisation(norm, channels), nn.LeakyReLU(SLOPE)]


def _projection(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
