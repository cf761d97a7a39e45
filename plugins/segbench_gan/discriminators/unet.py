"""The discriminator of OASIS (Schönfeld 2021, section 3.1): a U-Net that segments real images and finds fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from .layers import SLOPE
from .normalisation import normalisation
from .padding import crop, pad

if TYPE_CHECKING:
    from torch import Tensor


class UNetDiscriminator(nn.Module):
    """An encoder-decoder of residual blocks with skips; it has fewer blocks than OASIS's, which is made for 256 pixels.

    Widths are w, 2w, 4w, 8w, 8w, ... from the finest scale to the coarsest. It ends in K + 1 scores a pixel: those of
    the K classes, then that of a fake pixel.

    - x: (N, C, H, W); padded with zeros to a multiple of 2^depth pixels, with a normalisation at least 2^(depth + 1)
    - returns: scores (N, K + 1, H, W)
    """

    def __init__(self, in_channels: int, num_classes: int, depth: int, width: int, norm: str) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        # A normalisation needs more than one position in the coarsest map.
        self.minimum_size = 2**depth if norm == "none" else 2 ** (depth + 1)
        widths = [width * min(2**scale, 8) for scale in range(depth + 1)]
        self.stem = nn.Conv2d(in_channels, width, kernel_size=3, padding=1)
        self.encoder = nn.ModuleList(ResidualBlock(widths[scale], widths[scale + 1], norm) for scale in range(depth))
        self.decoder = nn.ModuleList(
            ResidualBlock(widths[scale + 1] + widths[scale], widths[scale], norm) for scale in reversed(range(depth))
        )
        self.head = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Conv2d(width, num_classes + 1, kernel_size=1))

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the encoder, fine to coarse, then those of the decoder, coarse to fine."""
        encoded = [self.stem(self._padded(x))]
        for block in self.encoder:
            encoded.append(block(avg_pool2d(encoded[-1], 2)))
        decoded = encoded[-1:]
        for block, skip in zip(self.decoder, reversed(encoded[:-1]), strict=True):
            decoded.append(block(torch.cat([interpolate(decoded[-1], scale_factor=2.0), skip], dim=1)))
        return encoded + decoded[1:]

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return crop(self.head(self.features(x)[-1]), *x.shape[-2:])

    def _padded(self, x: Tensor) -> Tensor:
        sides = (max(side, self.minimum_size) for side in x.shape[-2:])
        return pad(x, *(-(-side // self.size_multiple) * self.size_multiple for side in sides))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after normalisation and LeakyReLU 0.2, added to the input (He 2016)."""

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        # The activations are not in place: what they read is also the shortcut, and a skip.
        self.residual = nn.Sequential(
            normalisation(norm, in_channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=norm == "none"),
            normalisation(norm, out_channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
        )
        self.shortcut = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return self.shortcut(x) + self.residual(x)
