"""Two light decoders: from a backbone's feature maps to logits at the stride of the finest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class TopDown(nn.Module):
    """The top-down pathway of a feature pyramid network, of which the finest map alone is smoothed and classified.

    Each map is projected to `width` channels, to which the next coarser sum is added, resized (Lin et al. 2017, figure
    3); the finest sum passes a 3x3 convolution with normalisation and ReLU, and the classifier.

    - features: maps (N, C_i, h_i, w_i), finest first
    - returns: logits (N, num_classes, h_0, w_0)
    """

    def __init__(self, channels: Sequence[int], width: int, num_classes: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(held, width, 1) for held in channels)
        self.smooth = _normalised(nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the logits."""
        maps = [lateral(held) for lateral, held in zip(self.laterals, features, strict=True)]
        total = maps[-1]
        for finer in reversed(maps[:-1]):
            total = finer + _resized(total, finer)
        return self.classifier(self.smooth(total))


class AllAtOnce(nn.Module):
    """The all-MLP decoder of SegFormer: maps projected, resized to the finest, joined, fused and classified.

    As in the paper (Xie et al. 2021, section 3.2) every layer is linear at each pixel; the fusion is normalised and
    rectified.

    - features: maps (N, C_i, h_i, w_i), finest first
    - returns: logits (N, num_classes, h_0, w_0)
    """

    def __init__(self, channels: Sequence[int], width: int, num_classes: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(held, width, 1) for held in channels)
        self.fuse = _normalised(nn.Conv2d(width * len(channels), width, 1, bias=False))
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the logits."""
        maps = [project(held) for project, held in zip(self.projections, features, strict=True)]
        joined = torch.cat([_resized(held, maps[0]) for held in maps], dim=1)
        return self.classifier(self.fuse(joined))


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


def _resized(coarse: Tensor, like: Tensor) -> Tensor:
    if coarse.shape[-2:] == like.shape[-2:]:
        return coarse
    return functional.interpolate(coarse, size=like.shape[-2:], mode="bilinear", align_corners=False)
