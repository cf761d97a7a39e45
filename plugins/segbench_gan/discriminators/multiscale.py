"""PatchGANs at several scales (Wang 2018, pix2pixHD, section 3.2; Park 2019, SPADE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .patch import PatchDiscriminator

if TYPE_CHECKING:
    from torch import Tensor


class MultiscaleDiscriminator(nn.Module):
    """One PatchGAN for the input and one for each time that it is halved by average pooling, 3x3 of stride 2.

    - x: (N, C, H, W)
    - returns: scores (N, 1, h, w) of each scale, finest first
    """

    def __init__(self, in_channels: int, scales: int, receptive_field: int, width: int, norm: str) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(in_channels, receptive_field, width, norm) for _ in range(scales)
        )
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the hidden maps of all scales."""
        return [
            feature
            for patches, scaled in zip(self.scales, self._pyramid(x), strict=True)
            for feature in patches.features(scaled)
        ]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the scores of each scale."""
        return [patches(scaled) for patches, scaled in zip(self.scales, self._pyramid(x), strict=True)]

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        pyramid = [x]
        while len(pyramid) < len(self.scales):
            pyramid.append(self.halve(pyramid[-1]))
        return pyramid
