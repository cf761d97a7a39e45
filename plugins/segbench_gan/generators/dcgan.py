"""DCGAN's generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .layers import draw_weights

if TYPE_CHECKING:
    from torch import Tensor

# The shorter side of the grid that noise is projected to is at most that of the paper.
COARSEST = 4


class Trunk(nn.Module):
    """Noise, projected to a coarse grid and doubled in size until it is half that of the images (Radford 2016).

    The coarse grid is size / 2^n, rounded up, with the least n >= 1 that brings its shorter side to 4 or less; it has
    width * 2^(n - 1) channels, but at most 8 * width, and each doubling halves what is above `width`.

    - noise: (N, Z)
    - returns: features (N, width, h, w), where 2h x 2w is at least `size`
    """

    def __init__(self, noise_channels: int, size: tuple[int, int], width: int) -> None:
        super().__init__()
        doublings = _doublings(min(size))
        channels = [width * min(2**level, 8) for level in reversed(range(doublings))]
        height, breadth = (-(-length // 2**doublings) for length in size)
        self.grid = (channels[0], height, breadth)
        self.project = nn.Linear(noise_channels, channels[0] * height * breadth, bias=False)
        self.layers = nn.Sequential(nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True))
        for level in range(1, doublings):
            self.layers.append(doubling(channels[level - 1], channels[level], bias=False))
            self.layers.append(nn.BatchNorm2d(channels[level]))
            self.layers.append(nn.ReLU(inplace=True))

    def forward(self, noise: Tensor) -> Tensor:
        """Return the features."""
        return self.layers(self.project(noise).unflatten(1, self.grid))


class DCGAN(nn.Module):
    """Noise to image by transposed convolutions, batch normalisation and ReLU (Radford 2016).

    Images of a size that no doubling reaches are cut out of larger ones.

    - noise: (N, Z)
    - returns: images (N, C, H, W) in [-1, 1], H and W as in `size`
    """

    def __init__(self, noise_channels: int, image_channels: int, size: tuple[int, int], width: int) -> None:
        super().__init__()
        self.height, self.width = size
        self.trunk = Trunk(noise_channels, size, width)
        self.image = doubling(width, image_channels)
        draw_weights(self)

    def forward(self, noise: Tensor) -> Tensor:
        """Return the images."""
        return self.image(self.trunk(noise))[..., : self.height, : self.width].tanh()


def doubling(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.ConvTranspose2d:
    """Return the 4x4 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)


def _doublings(length: int) -> int:
    doublings = 1
    while length > COARSEST * 2**doublings:
        doublings += 1
    return doublings
