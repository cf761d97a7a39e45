"""A generator of images together with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .dcgan import Trunk, doubling
from .layers import draw_weights

if TYPE_CHECKING:
    from torch import Tensor


class Joint(nn.Module):
    """DCGAN's trunk (Radford 2016) with two heads, so that image and labels are made of the same features.

    - noise: (N, Z)
    - returns: images (N, C, H, W) in [-1, 1] and logits (N, K, H, W), H and W as in `size`
    """

    def __init__(
        self, noise_channels: int, image_channels: int, num_classes: int, size: tuple[int, int], width: int
    ) -> None:
        super().__init__()
        self.height, self.width = size
        self.trunk = Trunk(noise_channels, size, width)
        self.image = doubling(width, image_channels)
        self.logits = doubling(width, num_classes)
        draw_weights(self)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images and the logits of their labels."""
        features = self.trunk(noise)
        return self._cut(self.image(features)).tanh(), self._cut(self.logits(features))

    def _cut(self, output: Tensor) -> Tensor:
        return output[..., : self.height, : self.width]
