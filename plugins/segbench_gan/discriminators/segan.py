"""The critic of SegAN (Xue 2018), made for its features."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from .layers import block, outputs_of
from .padding import pad

if TYPE_CHECKING:
    from torch import Tensor

KERNELS = (7, 5, 4, 4, 4, 3)


class SegANCritic(nn.Module):
    """Six convolutions of stride 2 (kernels 7, 5, 4, 4, 4, 3; widths w, 2w, 4w, 8w, 8w, 8w) with LeakyReLU 0.2.

    SegAN compares features and has no real/fake head; the score is the mean of the deepest features. `feature_weights`
    are the weights that the authors' code gives to input and layers in that comparison. Weights start as by He 2015.

    - x: (N, C, H, W); padded with zeros to 64 pixels a side, with a normalisation to 96
    - returns: scores (N, 1, 1, 1)
    """

    feature_weights = (1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 4.0)

    def __init__(self, in_channels: int, width: int, norm: str) -> None:
        super().__init__()
        # The last convolution must see 2x2 positions: of a map one column wide, bf16 kernels of CPUs return weight
        # gradients of memory never written. A normalisation needs more than one position after it.
        self.minimum_size = 64 if norm == "none" else 96
        widths = (in_channels, width, 2 * width, 4 * width, 8 * width, 8 * width, 8 * width)
        norms = ("none", *(norm for _ in KERNELS[1:]))
        self.blocks = nn.ModuleList(
            block(inputs, outputs, norm, kernel_size=kernel)
            for (inputs, outputs), kernel, norm in zip(pairwise(widths), KERNELS, norms, strict=True)
        )
        self.apply(_start_as_he)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the input as it is and the six hidden maps."""
        return [x, *outputs_of(self.blocks, pad(x, self.minimum_size, self.minimum_size))]

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.features(x)[-1].mean((1, 2, 3), keepdim=True)


def _start_as_he(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out")
