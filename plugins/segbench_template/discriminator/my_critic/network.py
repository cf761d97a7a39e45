"""The critic: write yours in place of this one."""

from itertools import pairwise

from torch import nn


class Critic(nn.Module):
    """Three strided convolutions and a score for each patch of 29x29 pixels.

    It normalises nothing over the batch, so gradient penalties may be used with it.

    - x: (N, in_channels, H, W), the condition and the labels as channels, of any size
    - returns: raw scores (N, 1, h, w), the greater the more real; no sigmoid
    """

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        widths = [in_channels, width, 2 * width, 4 * width]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(narrow, wide, kernel_size=3, stride=2, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
            )
            for narrow, wide in pairwise(widths)
        )
        self.head = nn.Conv2d(widths[-1], 1, kernel_size=3, padding=1)

    def features(self, x):
        """Return the hidden maps, for losses that compare them; optional."""
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def forward(self, x):
        """Return the scores."""
        return self.head(self.features(x)[-1])
