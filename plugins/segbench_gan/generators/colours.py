"""From a network's output to colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Colours(nn.Module):
    """A network whose output is squashed to colours by tanh; it takes the sizes that the network takes.

    - images: (N, C, H, W), float in [-1, 1]
    - returns: colours, in [-1, 1], of the shape of the network's output
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.size_multiple = getattr(network, "size_multiple", 1)
        self.minimum_size = getattr(network, "minimum_size", 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the colours."""
        return self.network(images).tanh()
