"""LargeFOV and SmallFOV (Luc 2016, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from .layers import block, outputs_of

if TYPE_CHECKING:
    from torch import Tensor


class Kernels(NamedTuple):
    """Kernel sizes of the convolutions before, between and after the two poolings, and of the one that scores."""

    first: tuple[int, ...]
    second: tuple[int, int]
    third: int
    head: int


LARGE = Kernels((3, 3, 3), (3, 3), 3, 3)
# Every second one 1x1, and one fewer before the first pooling: that gives the 18 pixels of the paper.
SMALL = Kernels((3, 1), (3, 1), 3, 1)


class FieldOfViewDiscriminator(nn.Module):
    """Convolutions with ReLU and two 2x2 max poolings; the mean of the score map is the score.

    A place of the score map sees 34x34 pixels (LARGE) or 18x18 (SMALL). One logit stands for the paper's softmax over
    "real" and "fake", whose value is the sigmoid of the difference of its two logits.

    With image channels, these go through w/2 and 2w channels and the rest, the label field, through 2w before they are
    joined to 4w; LARGE then sees 32x32 pixels of the label field.

    - x: (N, C, H, W), H and W at least 4
    - returns: scores (N, 1, 1, 1)
    """

    def __init__(self, in_channels: int, image_channels: int, kernels: Kernels, width: int, norm: str) -> None:
        super().__init__()
        first, second, third = kernels.first, kernels.second, kernels.third
        self.blocks = nn.ModuleList(
            _two_branches(in_channels, image_channels, first, width, norm)
            if image_channels
            else _one_branch(in_channels, first, width, norm)
        )
        for kernel in first[2:]:
            self.blocks.append(_block(4 * width, 4 * width, kernel, norm))
        self.blocks.extend(
            [
                nn.Sequential(nn.MaxPool2d(2), _block(4 * width, 8 * width, second[0], norm)),
                _block(8 * width, 8 * width, second[1], norm),
                nn.Sequential(nn.MaxPool2d(2), _block(8 * width, 16 * width, third, norm)),
            ]
        )
        self.head = nn.Conv2d(16 * width, 1, kernels.head, padding=kernels.head // 2)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the hidden maps."""
        return outputs_of(self.blocks, x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.head(self.features(x)[-1]).mean((2, 3), keepdim=True)


class Branches(nn.Module):
    """Convolutions of their own for the image, the first channels, and for the label field, the rest."""

    def __init__(self, image_channels: int, image: nn.Module, labels: nn.Module) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.image = image
        self.labels = labels

    def forward(self, x: Tensor) -> Tensor:
        """Return what both make of their channels, joined."""
        image, labels = x[:, : self.image_channels], x[:, self.image_channels :]
        return torch.cat([self.image(image), self.labels(labels)], dim=1)


def _one_branch(in_channels: int, kernels: tuple[int, ...], width: int, norm: str) -> list[nn.Module]:
    return [_block(in_channels, 3 * width, kernels[0], "none"), _block(3 * width, 4 * width, kernels[1], norm)]


def _two_branches(
    in_channels: int, image_channels: int, kernels: tuple[int, ...], width: int, norm: str
) -> list[nn.Module]:
    image = nn.Sequential(
        _block(image_channels, width // 2, kernels[0], "none"), _block(width // 2, 2 * width, kernels[1], norm)
    )
    labels = _block(in_channels - image_channels, 2 * width, kernels[0], "none")
    return [Branches(image_channels, image, labels)]


def _block(in_channels: int, out_channels: int, kernel_size: int, norm: str) -> nn.Module:
    return block(in_channels, out_channels, norm, kernel_size=kernel_size, stride=1, activation=nn.ReLU)
