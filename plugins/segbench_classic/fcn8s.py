"""FCN-8s: Long, Shelhamer, Darrell 2015, arXiv 1411.4038, figure 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from .vgg import build_trunk, fully_connected, initialise

if TYPE_CHECKING:
    from torch import Tensor

# Where VGG-16's layers end with the third and the fourth pooling.
POOL3_END, POOL4_END = 17, 24

# Channels of fc6 and fc7 in VGG-16.
FC_CHANNELS = 4096


class Geometry(NamedTuple):
    """Padding of the first convolution and of fc6, and where fine and upsampled maps begin to overlap, in cells."""

    image_padding: int
    fc6_padding: int
    upsampled_start: int
    pool4_start: int
    pool3_start: int
    logits_start: int


# A cell of fc7 lies over the image where fc6's 7x7 window has its centre. With 100 zeros around the image, upsampled
# maps begin 5 cells of pool4, then 9 of pool3, then 31 pixels behind those of the padded image, which are the crops of
# the authors' network; with 3 zeros around fc6's input they begin 1, 1 and 4 before.
GEOMETRIES = {
    "image": Geometry(100, 0, upsampled_start=0, pool4_start=5, pool3_start=9, logits_start=31),
    "fc6": Geometry(1, 3, upsampled_start=1, pool4_start=0, pool3_start=0, logits_start=4),
}


class FCN8s(nn.Module):
    """VGG-16 with its fully connected layers as convolutions, whose scores are joined with those of pool4 and pool3.

    The paper trains FCN-32s first, adds pool4 and then pool3; here all layers are trained at once.

    - images: (N, C, H, W)
    - returns: logits (N, K, H, W)
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        padding: Literal["image", "fc6"] = "image",
        fc_channels: int = FC_CHANNELS,
        dropout: float = 0.5,
        backbone_weights: str = "none",
    ) -> None:
        super().__init__()
        trunk = build_trunk(in_channels, backbone_weights, batch_norm=False)
        self.geometry = GEOMETRIES[padding]
        self.normalise = trunk.normalise
        self.provenance = trunk.provenance
        # Caffe, in which the network was published, rounds the size of pooled maps up.
        layers = [with_ceil(layer) for layer in trunk.features]
        layers[0].padding = (self.geometry.image_padding,) * 2
        self.to_pool3 = nn.Sequential(*layers[:POOL3_END])
        self.to_pool4 = nn.Sequential(*layers[POOL3_END:POOL4_END])
        self.to_pool5 = nn.Sequential(*layers[POOL4_END:])
        self.fc6 = nn.Conv2d(512, fc_channels, 7, padding=self.geometry.fc6_padding)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.dropout = nn.Dropout(dropout)
        self.score_fc7 = nn.Conv2d(fc_channels, num_classes, 1)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.score_pool3 = nn.Conv2d(256, num_classes, 1)
        self.upsample_fc7 = nn.ConvTranspose2d(num_classes, num_classes, 4, 2, bias=False)
        self.upsample_pool4 = nn.ConvTranspose2d(num_classes, num_classes, 4, 2, bias=False)
        self.bilinear: Tensor
        # The last upsampling stays bilinear (section 4.3), so its weights are not learnt.
        self.register_buffer("bilinear", bilinear_kernel(16).expand(num_classes, 1, -1, -1), persistent=False)
        self._initialise()
        if trunk.state:
            self._take_over(*fully_connected(trunk, fc_channels))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        geometry = self.geometry
        pool3 = self.to_pool3(self.normalise(images))
        pool4 = self.to_pool4(pool3)
        deep = self.dropout(functional.relu(self.fc6(self.to_pool5(pool4))))
        deep = self.dropout(functional.relu(self.fc7(deep)))
        scores = self.upsample_fc7(self.score_fc7(deep))
        scores = overlap(scores, geometry.upsampled_start, self.score_pool4(pool4), geometry.pool4_start)
        scores = self.upsample_pool4(scores)
        scores = overlap(scores, geometry.upsampled_start, self.score_pool3(pool3), geometry.pool3_start)
        scores = functional.conv_transpose2d(scores, self.bilinear.to(scores.dtype), stride=8, groups=scores.shape[1])
        return cropped(scores, geometry.logits_start, tuple(images.shape[-2:]))

    def _initialise(self) -> None:
        initialise(self.fc6)
        initialise(self.fc7)
        for layer in self._scores():
            # Small, so that training begins with nearly even odds; section 4.3 saw no difference to 0.
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            for layer in (self.upsample_fc7, self.upsample_pool4):
                layer.weight.zero_()
                layer.weight.diagonal().copy_(bilinear_kernel(4).unsqueeze(-1).expand(-1, -1, layer.in_channels))

    def _take_over(self, fc6: tuple[Tensor, Tensor], fc7: tuple[Tensor, Tensor]) -> None:
        with torch.no_grad():
            for layer, (weight, bias) in ((self.fc6, fc6), (self.fc7, fc7)):
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
        # Section 4.3: scores start at 0 on top of pretrained features.
        for layer in self._scores():
            nn.init.zeros_(layer.weight)

    def _scores(self) -> tuple[nn.Conv2d, ...]:
        return self.score_fc7, self.score_pool4, self.score_pool3


def with_ceil(layer: nn.Module) -> nn.Module:
    """Return the layer; pooling will round sizes up."""
    return nn.MaxPool2d(2, ceil_mode=True) if isinstance(layer, nn.MaxPool2d) else layer


def overlap(one: Tensor, one_start: int, other: Tensor, other_start: int) -> Tensor:
    """Return the sum of two maps where they overlap, beginning at these cells of each along both axes."""
    height, width = (
        min(mine - one_start, its - other_start) for mine, its in zip(one.shape[-2:], other.shape[-2:], strict=True)
    )
    return cropped(one, one_start, (height, width)) + cropped(other, other_start, (height, width))


def cropped(maps: Tensor, start: int, size: tuple[int, int]) -> Tensor:
    """Return the part of maps (N, C, H, W) of this size that begins at `start` along both axes."""
    height, width = size
    return maps[..., start : start + height, start : start + width]


def bilinear_kernel(size: int) -> Tensor:
    """Return the weights (size, size) with which transposed convolution of stride size/2 interpolates bilinearly.

    >>> bilinear_kernel(4)[0].mul(16).tolist()
    [1.0, 3.0, 3.0, 1.0]
    """
    centre = (size - 1) / 2
    line = 1 - (torch.arange(size) - centre).abs() / (size / 2)
    return torch.outer(line, line)
