"""SegNet: Badrinarayanan, Kendall, Cipolla 2017 (TPAMI; arXiv 1511.00561, 2015), figure 2."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn
from torchvision.ops import Conv2dNormActivation

from .vgg import build_trunk, initialise

if TYPE_CHECKING:
    from torch import Tensor


class SegNet(nn.Module):
    """VGG-16's convolutions, and their mirror image, which puts values back to where the maxima were.

    - images: (N, C, H, W)
    - returns: logits (N, K, H, W)
    """

    # The encoder halves the size five times.
    minimum_size = 32

    def __init__(self, in_channels: int, num_classes: int, *, backbone_weights: str = "none") -> None:
        super().__init__()
        trunk = build_trunk(in_channels, backbone_weights, batch_norm=True)
        self.normalise = trunk.normalise
        self.provenance = trunk.provenance
        self.encoder = nn.ModuleList(stages(trunk.features))
        widths = [stage[0].out_channels for stage in self.encoder]
        # What corresponds to the first convolution, which receives the image, returns the logits, as the authors' does.
        lasts: list[nn.Module] = [nn.Conv2d(widths[0], num_classes, 3, padding=1)]
        lasts += [normalised(wide, narrow) for narrow, wide in pairwise(widths)]
        self.decoder = nn.ModuleList(
            mirrored(stage, last) for stage, last in zip(reversed(self.encoder), reversed(lasts), strict=True)
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        initialise(self.decoder)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = self.normalise(images)
        pooled = []
        for stage in self.encoder:
            features = stage(features)
            size = tuple(features.shape[-2:])
            features, indices = self.pool(features)
            pooled.append((indices, size))
        for stage, (indices, size) in zip(self.decoder, reversed(pooled), strict=True):
            # A last odd row or column was in no window and gets zeros.
            features = stage(self.unpool(features, indices, output_size=size))
        return features


def stages(features: nn.Sequential) -> list[nn.Sequential]:
    """Return VGG-16's layers in the five groups that its poolings divide them into, without these."""
    groups: list[list[nn.Module]] = [[]]
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            groups.append([])
        else:
            groups[-1].append(layer)
    return [nn.Sequential(*group) for group in groups if group]


def mirrored(stage: nn.Sequential, last: nn.Module) -> nn.Sequential:
    """Return the decoder of an encoder's stage: its convolutions in reverse, `last` in place of the first."""
    others = [layer for layer in stage if isinstance(layer, nn.Conv2d)][1:]
    return nn.Sequential(*(normalised(each.out_channels, each.in_channels) for each in reversed(others)), last)


def normalised(in_channels: int, out_channels: int) -> Conv2dNormActivation:
    """Return a 3x3 convolution with batch normalisation and ReLU; its bias is redundant, and VGG-16 has it too."""
    return Conv2dNormActivation(in_channels, out_channels, 3, bias=True)
