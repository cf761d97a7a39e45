"""A discriminator of whole images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .layers import block, outputs_of
from .padding import pad

if TYPE_CHECKING:
    from torch import Tensor

DROPOUTS = {"elements": nn.Dropout, "channels": nn.Dropout2d}


class ImageDiscriminator(nn.Module):
    """Four 4x4 convolutions of stride 2, dropout behind the first three; the mean over positions is scored linearly.

    With dropout of half of the channels it returns what the critic of s4GAN (Mittal 2019, github.com/sud0301/
    semisup-semseg) returns before its sigmoid, for crops of its size. Widths are w, 2w, 4w, 8w.

    - x: (N, C, H, W); padded with zeros to 16 pixels a side, with a normalisation to 32
    - returns: scores (N, 1, 1, 1)
    """

    def __init__(self, in_channels: int, dropout: float, dropout_of: str, width: int, norm: str) -> None:
        super().__init__()
        # A normalisation needs more than one position in the last map.
        self.minimum_size = 16 if norm == "none" else 32
        drop = DROPOUTS[dropout_of]
        self.blocks = nn.Sequential(
            nn.Sequential(block(in_channels, width, "none"), drop(dropout)),
            nn.Sequential(block(width, 2 * width, norm), drop(dropout)),
            nn.Sequential(block(2 * width, 4 * width, norm), drop(dropout)),
            # What is matched and scored is not dropped.
            nn.Sequential(block(4 * width, 8 * width, norm)),
        )
        self.head = nn.Linear(8 * width, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the mean over all positions of the last hidden map, (N, 8w)."""
        maps = outputs_of(self.blocks, pad(x, self.minimum_size, self.minimum_size))
        return [maps[-1].mean((2, 3))]

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.head(self.features(x)[0])[:, :, None, None]
