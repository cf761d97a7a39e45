"""The residual network of Johnson and of CycleGAN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .layers import draw_weights, normalisation

if TYPE_CHECKING:
    from torch import Tensor

    from .layers import Norm


class ResidualNetwork(nn.Module):
    """Two halvings, residual blocks at a quarter of the size, and two doublings; reflection at the image's border.

    Johnson 2016 with the order and the 7x7 convolutions at both ends of CycleGAN (Zhu 2017, appendix 7.2).

    - images: (N, C, H, W), H and W multiples of 4 and at least 8
    - returns: (N, out_channels, H, W), not squashed
    """

    size_multiple = 4
    # Reflecting one pixel at a quarter of the size takes two.
    minimum_size = 8

    def __init__(self, in_channels: int, out_channels: int, width: int, blocks: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(in_channels, width, norm, kernel_size=7, padding=3, padding_mode="reflect"),
            *_convolution(width, 2 * width, norm, kernel_size=3, stride=2, padding=1),
            *_convolution(2 * width, 4 * width, norm, kernel_size=3, stride=2, padding=1),
            *(ResidualBlock(4 * width, norm) for _ in range(blocks)),
            *_doubling(4 * width, 2 * width, norm),
            *_doubling(2 * width, width, norm),
            nn.Conv2d(width, out_channels, kernel_size=7, padding=3, padding_mode="reflect"),
        )
        draw_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, one value a pixel and channel."""
        return self.layers(images)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose output is added to their input, without activation behind the sum.

    - features: (N, C, H, W), H and W at least 2
    - returns: (N, C, H, W)
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(channels, channels, norm, kernel_size=3, padding=1, padding_mode="reflect"),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, padding_mode="reflect", bias=False),
            normalisation(norm, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum."""
        return features + self.residual(features)


def _convolution(in_channels: int, out_channels: int, norm: Norm, **options: int | str) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, bias=False, **options)
    return [convolution, normalisation(norm, out_channels), nn.ReLU(inplace=True)]


def _doubling(in_channels: int, out_channels: int, norm: Norm) -> list[nn.Module]:
    doubling = nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size=3, stride=2, padding=1, output_padding=1, bias=False
    )
    return [doubling, normalisation(norm, out_channels), nn.ReLU(inplace=True)]
