"""PatchGAN (Isola 2017, pix2pix): a fully convolutional discriminator of patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segbench import SegbenchError

from .layers import block, outputs_of
from .padding import pad

if TYPE_CHECKING:
    from torch import Tensor

# Receptive field in pixels: how many convolutions have stride 2.
STRIDED = {16: 1, 70: 3, 286: 5}


class PatchDiscriminator(nn.Module):
    """PatchGAN with 4x4 convolutions: of stride 2, then two of stride 1, the last of which scores.

    With s strided ones its receptive field is 18 x 2^s - 2 pixels wide and n pixels a side give floor(n / 2^s) - 2
    scores. Widths are w, 2w, 4w, 8w, 8w, ...; weights start as N(0, 0.02), biases as 0.

    - x: (N, C, H, W); padded with zeros to the least size that gives a score, except for a receptive field of 286,
      where a smaller one raises SegbenchError
    - returns: scores (N, 1, h, w)
    """

    def __init__(self, in_channels: int, receptive_field: int, width: int, norm: str) -> None:
        super().__init__()
        strided = STRIDED[receptive_field]
        self.receptive_field = receptive_field
        self.minimum_size = minimum_size(receptive_field)
        widths = [width * min(2**layer, 8) for layer in range(strided + 1)]
        blocks = [block(in_channels, width, "none")]
        for layer in range(1, strided + 1):
            stride = 2 if layer < strided else 1
            blocks.append(block(widths[layer - 1], widths[layer], norm, stride=stride))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(widths[-1], 1, kernel_size=4, padding=1)
        self.apply(start_as_pix2pix)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the hidden maps."""
        if self.receptive_field == 286:
            check_size(x.shape[-2:])
        return outputs_of(self.blocks, pad(x, self.minimum_size, self.minimum_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.head(self.features(x)[-1])


class PixelwiseDiscriminator(nn.Module):
    """PatchGAN of patches of one pixel ("PixelGAN"): three 1x1 convolutions.

    - x: (N, C, H, W)
    - returns: scores (N, 1, H, W)
    """

    def __init__(self, in_channels: int, width: int, norm: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                block(in_channels, width, "none", kernel_size=1, stride=1),
                block(width, 2 * width, norm, kernel_size=1, stride=1),
            ]
        )
        self.head = nn.Conv2d(2 * width, 1, kernel_size=1)
        self.apply(start_as_pix2pix)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the two hidden maps."""
        return outputs_of(self.blocks, x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.head(self.features(x)[-1])


def minimum_size(receptive_field: int) -> int:
    """Return the least height and width that give a score."""
    # The two convolutions of stride 1 take a pixel each.
    return 3 * 2 ** STRIDED[receptive_field]


def check_size(size: tuple[int, int]) -> None:
    """Raise SegbenchError if an input of that height and width is too small for a receptive field of 286 pixels."""
    height, width = size
    least = minimum_size(286)
    if min(height, width) < least:
        raise SegbenchError(
            f"gan/patchgan: size is {height} x {width}; a receptive_field of 286 needs at least {least} x {least} "
            "pixels: give larger crops, or receptive_field: 70"
        )


def start_as_pix2pix(layer: nn.Module) -> None:
    """Draw a convolution's weights from N(0, 0.02) and set its bias to 0 (Isola 2017, section 6.2)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
