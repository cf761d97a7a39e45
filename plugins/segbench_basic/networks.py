"""The plain convolutional segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class PlainSegmenter(nn.Module):
    """Three 3x3 convolutions with ReLU between, padded so that the output has the size of the input.

    It sees 7x7 pixels around each pixel and no more, hence colour and texture but no shape: the least that any other
    network must beat. It has 9w(C + w + K) + 2w + K parameters for C channels, K classes and width w.

    - images: (N, C, H, W)
    - returns: logits (N, K, H, W)
    """

    def __init__(self, in_channels: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_classes, kernel_size=3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.layers(images)
