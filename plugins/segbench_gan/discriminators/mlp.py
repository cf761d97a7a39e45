"""The discriminator of the first GANs (Goodfellow 2014): a multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from segbench import SegbenchError

from .layers import SLOPE, outputs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class PerceptronDiscriminator(nn.Module):
    """Linear layers with LeakyReLU 0.2 between on all values of an input, in the order channel, row, column.

    - x: (N, C, H, W) with H, W exactly `size`; SegbenchError otherwise
    - returns: scores (N, 1, 1, 1)
    """

    def __init__(self, in_channels: int, size: tuple[int, int], widths: Sequence[int]) -> None:
        super().__init__()
        self.shape = (in_channels, *size)
        sizes = (in_channels * size[0] * size[1], *widths)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(SLOPE, inplace=True))
            for inputs, outputs in pairwise(sizes)
        )
        self.head = nn.Linear(sizes[-1], 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the hidden layers, each (N, width)."""
        self._check(x)
        return outputs_of(self.layers, x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.head(self.features(x)[-1])[:, :, None, None]

    def _check(self, x: Tensor) -> None:
        given = tuple(x.shape[1:])
        if given != self.shape:
            raise SegbenchError(
                f"gan/mlp: the input has channels, height and width {' x '.join(map(str, given))}; its layers fit "
                f"{' x '.join(map(str, self.shape))} only: give images of that size, or a convolutional discriminator"
            )
