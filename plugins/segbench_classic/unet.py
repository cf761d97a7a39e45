"""U-Net as published: Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, figure 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from .vgg import initialise

if TYPE_CHECKING:
    from torch import Tensor

# How often height and width are halved.
DEPTH = 4

# Unpadded 3x3 convolutions take this many pixels off either side on the way down and up again: 572 - 388 = 2 x 92.
MARGIN = 92

# Sizes of the output for which every map that is pooled has an even size are 16 n + 4, as 388.
OUTPUT_MULTIPLE, OUTPUT_REST = 16, 4


class UNet(nn.Module):
    """A contracting and an expanding path of 3x3 convolutions, joined at each of four scales; no batch normalisation.

    Its convolutions are not padded, so that the logits are 184 pixels smaller than what it is given. As the paper's
    overlap-tile strategy does at the borders of images, it is therefore given the image with its mirror image around
    it, and returns logits for the image. With padding "zeros" convolutions are padded instead, which most later
    implementations do.

    - images: (N, C, H, W)
    - returns: logits (N, K, H, W)
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        padding: Literal["mirror", "zeros"] = "mirror",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.mirrors = padding == "mirror"
        self.size_multiple = 1 if self.mirrors else 2**DEPTH
        border = 0 if self.mirrors else 1
        widths = [width * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(
            double_convolution(before, after, border)
            for before, after in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * each, each, 2, 2) for each in reversed(widths[:-1]))
        self.join = nn.ModuleList(double_convolution(2 * each, each, border) for each in reversed(widths[:-1]))
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv2d(width, num_classes, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = mirrored(images) if self.mirrors else images
        skips = []
        for level, convolutions in enumerate(self.down):
            features = convolutions(features if level == 0 else self.pool(features))
            if level >= DEPTH - 1:
                # At the end of the contracting path (section 3.1): the last two scales, as in the authors' network.
                features = self.dropout(features)
            skips.append(features)
        features = skips.pop()
        for up, join in zip(self.up, self.join, strict=True):
            features = up(features)
            features = join(torch.cat([centre(skips.pop(), tuple(features.shape[-2:])), features], dim=1))
        return self.classifier(features)[..., : images.shape[-2], : images.shape[-1]]


def double_convolution(in_channels: int, out_channels: int, padding: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each followed by ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=padding),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=padding),
        nn.ReLU(inplace=True),
    )


def centre(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the central part, of this size, of maps (N, C, H, W)."""
    top, left = (maps.shape[-2] - size[0]) // 2, (maps.shape[-1] - size[1]) // 2
    return maps[..., top : top + size[0], left : left + size[1]]


def mirrored(images: Tensor) -> Tensor:
    """Return images with their mirror image around them: 92 pixels above and left, as many or up to 15 more beyond.

    - images: (N, C, H, W)
    - returns: (N, C, H', W'), sizes that the unpadded network takes and for which its output covers the images
    """
    height, width = images.shape[-2:]
    rows, columns = mirrored_indices(height).to(images.device), mirrored_indices(width).to(images.device)
    return images.index_select(-2, rows).index_select(-1, columns)


def mirrored_indices(length: int) -> Tensor:
    """Return the index of the pixel shown at each place along one axis; the image's own begin at 92.

    Mirrors do not repeat the pixel at the border, and small images are mirrored over and over.

    >>> mirrored_indices(3)[MARGIN - 3 : MARGIN + 6].tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    output = -(-(length - OUTPUT_REST) // OUTPUT_MULTIPLE) * OUTPUT_MULTIPLE + OUTPUT_REST
    places = torch.arange(output + 2 * MARGIN) - MARGIN
    if length == 1:
        return torch.zeros_like(places)
    last = length - 1
    period = 2 * last
    # From a whole number of periods on, so that no remainder is taken of a negative number.
    shifted = places + period * -(-MARGIN // period)
    return last - (shifted % period - last).abs()
