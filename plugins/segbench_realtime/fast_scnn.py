"""Fast-SCNN: Poudel, Liwicki, Cipolla 2019, arXiv 1902.04502; its Table 1 is the layout, Tables 2 and 3 the blocks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from .auxiliary import weighted_sum
from .blocks import resized_to

if TYPE_CHECKING:
    from torch import Tensor

# Section 4: the losses behind learning to downsample and behind the global feature extractor.
AUXILIARY_WEIGHTS = (0.4, 0.4)

# Cells along each side of the grids of pyramid pooling (PSPNet, Zhao 2017).
POOLED_SIZES = (1, 2, 3, 6)

# Between stride 8, where learning to downsample ends, and stride 32, where the global feature extractor ends.
SCALE = 4


class FastSCNN(nn.Module):
    """Fast-SCNN: one stem at stride 8 that a deep branch at stride 32 and a skip share.

    It is the paper's, whose authors published no code. The best known implementation, which is
    github.com/Tramac/Fast-SCNN-pytorch, differs from the paper: ReLU between depthwise and pointwise convolutions, a
    fusion without dilation, features that are resized with align_corners=True, PSPNet's pyramid pooling, no padding
    of the first convolution, and one auxiliary head.

    - images: (N, C, H, W), H and W multiples of 32
    - returns: logits (N, K, H/8, W/8); in training with auxiliary heads `(logits, logits, logits)`, the second at
      stride 8, the third at stride 32
    """

    size_multiple = 32
    # So that the deepest maps have four cells: batch normalisation in training refuses one at batch 1.
    minimum_size = 64

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float = 0.1, auxiliary: bool = True) -> None:
        super().__init__()
        self.learning_to_downsample = nn.Sequential(
            Conv2dNormActivation(in_channels, 32, stride=2),
            depthwise_separable(32, 48, stride=2),
            depthwise_separable(48, 64, stride=2),
        )
        self.global_feature_extractor = nn.Sequential(
            *bottlenecks(64, 64, stride=2),
            *bottlenecks(64, 96, stride=2),
            *bottlenecks(96, 128, stride=1),
            PyramidPooling(128, 128),
        )
        self.fusion = FeatureFusion(64, 128, 128)
        self.classifier = nn.Sequential(
            depthwise_separable(128, 128), depthwise_separable(128, 128), *head(128, num_classes, dropout)
        )
        self.auxiliary = (
            nn.ModuleList([auxiliary_head(64, num_classes, dropout), auxiliary_head(128, num_classes, dropout)])
            if auxiliary
            else None
        )

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the logits, in training with those of the auxiliary heads behind them."""
        fine = self.learning_to_downsample(images)
        deep = self.global_feature_extractor(fine)
        logits = self.classifier(self.fusion(fine, deep))
        if self.training and self.auxiliary is not None:
            return logits, *(head(features) for head, features in zip(self.auxiliary, (fine, deep), strict=True))
        return logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return 0.4 times the cross-entropy of each auxiliary head; target (N, H, W), ignored pixels being -100."""
        return weighted_sum(auxiliary, target, AUXILIARY_WEIGHTS)


class PyramidPooling(nn.Module):
    """Pyramid pooling: the input plus its means over coarser grids, mixed by a 1x1 convolution.

    The paper cites PSPNet, where the means are projected and concatenated, and leaves the layers open. That gives
    1.138 M parameters; the sum of ICNet (Zhao 2018, arXiv 1704.08545) gives 1.105 M, which agrees with the published
    1.11 M.

    - features: (N, C, H, W)
    - returns: (N, out_channels, H, W)
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.mix = Conv2dNormActivation(channels, out_channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the mixed features."""
        size = tuple(features.shape[-2:])
        levels = (functional.adaptive_avg_pool2d(features, cells) for cells in POOLED_SIZES)
        return self.mix(sum((resized_to(level, size) for level in levels), start=features))


class FeatureFusion(nn.Module):
    """Table 3: the deep features, resized and smoothed by a dilated depthwise convolution, plus the fine ones.

    - fine: (N, F, H, W)
    - deep: (N, D, h, w)
    - returns: (N, out_channels, H, W)
    """

    def __init__(self, fine_channels: int, deep_channels: int, out_channels: int) -> None:
        super().__init__()
        linear = partial(Conv2dNormActivation, out_channels=out_channels, kernel_size=1, activation_layer=None)
        self.smooth = Conv2dNormActivation(deep_channels, deep_channels, dilation=SCALE, groups=deep_channels)
        self.project_deep = linear(deep_channels)
        self.project_fine = linear(fine_channels)

    def forward(self, fine: Tensor, deep: Tensor) -> Tensor:
        """Return the fused features."""
        smooth = self.smooth(resized_to(deep, tuple(fine.shape[-2:])))
        return functional.relu(self.project_fine(fine) + self.project_deep(smooth))


class Bottleneck(nn.Module):
    """Table 2, MobileNetV2's inverted residual (Sandler 2018) with ReLU; the input is added where shapes agree.

    - features: (N, in_channels, H, W)
    - returns: (N, out_channels, H/stride, W/stride)
    """

    EXPANSION = 6

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = in_channels * self.EXPANSION
        self.adds_input = stride == 1 and in_channels == out_channels
        self.layers = nn.Sequential(
            Conv2dNormActivation(in_channels, width, kernel_size=1),
            Conv2dNormActivation(width, width, stride=stride, groups=width),
            Conv2dNormActivation(width, out_channels, kernel_size=1, activation_layer=None),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the transformed features."""
        return self.layers(features) + features if self.adds_input else self.layers(features)


def bottlenecks(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    """Return the three blocks of one row of Table 1, of which the first changes stride and channels."""
    return [
        Bottleneck(in_channels, out_channels, stride),
        Bottleneck(out_channels, out_channels, 1),
        Bottleneck(out_channels, out_channels, 1),
    ]


def depthwise_separable(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Return a depthwise 3x3 and a pointwise convolution without nonlinearity between (section 3.2.1)."""
    return nn.Sequential(
        Conv2dNormActivation(in_channels, in_channels, stride=stride, groups=in_channels, activation_layer=None),
        Conv2dNormActivation(in_channels, out_channels, kernel_size=1),
    )


def head(channels: int, num_classes: int, dropout: float) -> tuple[nn.Module, nn.Module]:
    """Return dropout and the pointwise convolution to logits."""
    return nn.Dropout(dropout), nn.Conv2d(channels, num_classes, kernel_size=1)


def auxiliary_head(channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Return the classifier of an auxiliary loss, whose layers the paper leaves open: one 3x3 convolution before."""
    return nn.Sequential(Conv2dNormActivation(channels, 32), *head(32, num_classes, dropout))
