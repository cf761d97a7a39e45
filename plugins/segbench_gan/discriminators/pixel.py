"""The fully convolutional discriminator of AdvSemiSeg (Hung 2018, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import interpolate

from .layers import block, outputs_of
from .padding import crop, pad

if TYPE_CHECKING:
    from torch import Tensor

# Below, the last of five convolutions of stride 2 would have nothing to look at.
MINIMUM_SIZE = 32


class PixelDiscriminator(nn.Module):
    """Five 4x4 convolutions of stride 2, the last of which scores; the scores are resized to the input bilinearly.

    Corners are aligned in that, as in the authors' training. A score before resizing sees 94x94 pixels. Widths are w,
    2w, 4w, 8w.

    - x: (N, C, H, W); padded with zeros to 32 pixels a side
    - returns: scores (N, 1, H, W)
    """

    def __init__(self, in_channels: int, width: int, norm: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                block(in_channels, width, "none"),
                block(width, 2 * width, norm),
                block(2 * width, 4 * width, norm),
                block(4 * width, 8 * width, norm),
            ]
        )
        self.head = nn.Conv2d(8 * width, 1, kernel_size=4, stride=2, padding=1)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the four hidden maps."""
        return outputs_of(self.blocks, pad(x, MINIMUM_SIZE, MINIMUM_SIZE))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        height, width = x.shape[-2:]
        padded_size = (max(height, MINIMUM_SIZE), max(width, MINIMUM_SIZE))
        scores = interpolate(self.head(self.features(x)[-1]), padded_size, mode="bilinear", align_corners=True)
        return crop(scores, height, width)
