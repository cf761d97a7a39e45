"""The residual refiner: the base's logits and what a small U-Net adds to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from .probabilities import log_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "none": lambda channels: nn.Identity(),
}


class ResidualRefiner(nn.Module):
    """Logits log p + U-Net(image, p); before training the residual is 0, so that the refiner changes nothing.

    - images: (N, C, H, W), float in [-1, 1], H and W multiples of `size_multiple` and at least `minimum_size`
    - probabilities: p, (N, K, H, W), float in [0, 1]
    - returns: logits (N, K, H, W), float32
    """

    def __init__(self, in_channels: int, num_classes: int, width: int, depth: int, norm: str) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        # At the coarsest scale, normalisation in training needs more than one pixel.
        self.minimum_size = 2 * self.size_multiple
        self.features = UNet(in_channels + num_classes, width, depth, norm)
        self.residual = nn.Conv2d(width, num_classes, kernel_size=1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)

    def forward(self, images: Tensor, probabilities: Tensor) -> Tensor:
        """Return the refined logits."""
        seen = torch.cat([images, probabilities.to(images.dtype)], dim=1)
        return log_probabilities(probabilities) + self.residual(self.features(seen))


class UNet(nn.Module):
    """Features by a U-Net (O. Ronneberger et al., MICCAI 2015), padded so that sizes stay.

    - fields: (N, in_channels, H, W), H and W multiples of 2**depth
    - returns: (N, width, H, W)
    """

    def __init__(self, in_channels: int, width: int, depth: int, norm: str) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        levels = range(depth)
        self.first = _convolutions(in_channels, width, norm)
        self.down = nn.ModuleList(_convolutions(widths[level], widths[level + 1], norm) for level in levels)
        self.up = nn.ModuleList(
            _convolutions(widths[level + 1] + widths[level], widths[level], norm) for level in reversed(levels)
        )

    def forward(self, fields: Tensor) -> Tensor:
        """Return the features."""
        features = self.first(fields)
        skips = []
        for convolutions in self.down:
            skips.append(features)
            features = convolutions(functional.max_pool2d(features, 2))
        for convolutions, skip in zip(self.up, reversed(skips), strict=True):
            coarse = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = convolutions(torch.cat([coarse, skip], dim=1))
        return features


def _convolutions(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    """Return two 3x3 convolutions, each normalised and rectified."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        # Normalisation has a bias of its own.
        layers += [
            nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=norm == "none"),
            NORMS[norm](out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
