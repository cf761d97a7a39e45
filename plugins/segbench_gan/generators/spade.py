"""Images from label maps by spatially adaptive normalisation (SPADE, Park 2019)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from .layers import plain_normalisation

if TYPE_CHECKING:
    from torch import Tensor

    from .layers import Norm

SLOPE = 0.2

# A batch of one image has no statistics over a single pixel.
SHORTEST = 2


class Spade(nn.Module):
    """norm(h) * (1 + gamma) + beta, where gamma and beta are convolutions of the label map (Park 2019, equation 1).

    - features h: (N, channels, H, W)
    - one_hot: (N, K, H, W)
    - returns: (N, channels, H, W)
    """

    def __init__(self, channels: int, num_classes: int, hidden: int, norm: Norm) -> None:
        super().__init__()
        self.norm = plain_normalisation(norm, channels)
        self.shared = nn.Conv2d(num_classes, hidden, kernel_size=3, padding=1)
        # One convolution for both costs less than two.
        self.gamma_beta = nn.Conv2d(hidden, 2 * channels, kernel_size=3, padding=1)

    def forward(self, features: Tensor, one_hot: Tensor) -> Tensor:
        """Return the modulated features."""
        gamma, beta = self.gamma_beta(functional.relu(self.shared(one_hot))).chunk(2, dim=1)
        return self.norm(features) * (1 + gamma) + beta


class SpadeBlock(nn.Module):
    """Twice SPADE, LeakyReLU and a 3x3 convolution, added to the input; a 1x1 convolution brings it to the channels.

    - features: (N, in_channels, H, W)
    - one_hot: (N, K, H, W)
    - returns: (N, out_channels, H, W)
    """

    def __init__(
        self, in_channels: int, out_channels: int, num_classes: int, hidden: int, norm: Norm, spectral: bool
    ) -> None:
        super().__init__()
        limited = spectral_norm if spectral else _as_it_is
        middle = min(in_channels, out_channels)
        self.first_spade = Spade(in_channels, num_classes, hidden, norm)
        self.first = limited(nn.Conv2d(in_channels, middle, kernel_size=3, padding=1))
        self.second_spade = Spade(middle, num_classes, hidden, norm)
        self.second = limited(nn.Conv2d(middle, out_channels, kernel_size=3, padding=1))
        self.shortcut_spade = self.shortcut = None
        if in_channels != out_channels:
            self.shortcut_spade = Spade(in_channels, num_classes, hidden, norm)
            self.shortcut = limited(nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False))

    def forward(self, features: Tensor, one_hot: Tensor) -> Tensor:
        """Return the sum of residual and shortcut."""
        residual = self.first(functional.leaky_relu(self.first_spade(features, one_hot), SLOPE))
        residual = self.second(functional.leaky_relu(self.second_spade(residual, one_hot), SLOPE))
        if self.shortcut is not None:
            features = self.shortcut(self.shortcut_spade(features, one_hot))
        return features + residual


class SpadeGenerator(nn.Module):
    """Noise on the coarsest grid, grown to an image by SPADE blocks, each of which sees the label map at its own size.

    The coarsest grid is 1/2^depth of the size, rounded up, with 2^depth * width channels, but at most 16 * width; each
    doubling halves what is above `width`. There is a block a scale, and two at the second. Label maps are resized to
    the nearest pixel, so any size will do; noise is projected to the grid of `size` and resized to that of the label
    map (bilinear).

    With a width of 64, a depth of 5 and `spectral` it returns what the authors' code (github.com/NVlabs/SPADE) returns
    with its option use_vae, which starts from noise; without that option it starts from the label map. What differs:
    there is no encoder of images; hidden channels are 2 * width, there 128 for any width; first weights are torch's,
    there drawn as Glorot 2010 does, times 0.02; singular values start from 15 power iterations, there from one;
    statistics of a batch are those of one device; the label map has no edges of instances beside it.

    - one_hot: (N, K, H, W)
    - noise: (N, Z)
    - returns: images (N, C, H, W) in [-1, 1]
    """

    def __init__(
        self,
        num_classes: int,
        image_channels: int,
        noise_channels: int,
        size: tuple[int, int],
        width: int,
        depth: int,
        norm: Norm,
        spectral: bool,
    ) -> None:
        super().__init__()
        channels = [width * min(2**level, 16) for level in reversed(range(depth + 1))]
        self.depth = depth
        self.grid = (channels[0], *_scaled(size, depth))
        self.project = nn.Linear(noise_channels, self.grid[0] * self.grid[1] * self.grid[2])
        # 2 * width are the 128 hidden channels of the paper's width of 64.
        block = partial(SpadeBlock, num_classes=num_classes, hidden=2 * width, norm=norm, spectral=spectral)
        self.scales = nn.ModuleList(
            nn.ModuleList([block(channels[max(scale - 1, 0)], channels[scale])]) for scale in range(depth + 1)
        )
        self.scales[1].append(block(channels[1], channels[1]))
        self.image = nn.Conv2d(width, image_channels, kernel_size=3, padding=1)

    def forward(self, one_hot: Tensor, noise: Tensor) -> Tensor:
        """Return the images."""
        size = tuple(one_hot.shape[-2:])
        features = self.project(noise).unflatten(1, self.grid)
        coarsest = _scaled(size, self.depth)
        if coarsest != self.grid[1:]:
            features = functional.interpolate(features, size=coarsest, mode="bilinear", align_corners=False)
        for level, blocks in zip(reversed(range(self.depth + 1)), self.scales, strict=True):
            grid = _scaled(size, level)
            features, labels = _nearest(features, grid), _nearest(one_hot, grid)
            for block in blocks:
                features = block(features, labels)
        return self.image(functional.leaky_relu(features, SLOPE)).tanh()


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer


def _nearest(tensor: Tensor, grid: tuple[int, ...]) -> Tensor:
    if tuple(tensor.shape[-2:]) == grid:
        return tensor
    return functional.interpolate(tensor, size=grid, mode="nearest")


def _scaled(size: tuple[int, ...], halvings: int) -> tuple[int, ...]:
    """Return height and width after so many halvings, rounded up; none leaves them as they are."""
    if halvings == 0:
        return size
    return tuple(max(-(-length // 2**halvings), SHORTEST) for length in size)
