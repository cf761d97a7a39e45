"""The convolutional generator of web tutorials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

HIDDEN_LAYERS = 4


class Convolutional(nn.Module):
    """Four times 3x3 convolution, LeakyReLU 0.2, batch normalisation, all at full size; then a 3x3 convolution.

    As a generator of images from "noise" of their size, which is how the tutorials have it, it could make texture only;
    here it sees an image, 11x11 pixels around each pixel.

    - images: (N, C, H, W), any size
    - returns: (N, out_channels, H, W), not squashed
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for channels in (in_channels, *[width] * (HIDDEN_LAYERS - 1)):
            self.layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            self.layers.append(nn.LeakyReLU(0.2, inplace=True))
            self.layers.append(nn.BatchNorm2d(width))
        self.layers.append(nn.Conv2d(width, out_channels, kernel_size=3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, one value a pixel and channel."""
        return self.layers(images)
