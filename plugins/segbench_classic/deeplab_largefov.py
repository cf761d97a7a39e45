"""DeepLab-LargeFOV: Chen, Papandreou, Kokkinos, Murphy, Yuille 2015, arXiv 1412.7062, section 3 and Table 2.

Without the dense CRF behind it, which is a component of its own (`refine/dense_crf`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

from .vgg import build_trunk, fully_connected, initialise

if TYPE_CHECKING:
    from torch import Tensor

# The strides of the five poolings: the last two subsample no more (section 3.1).
POOLING_STRIDES = (2, 2, 2, 1, 1)

# Behind the fourth pooling, with which VGG-16's layers go on at 24, convolutions are dilated to make up for it.
DILATED_FROM, DILATION = 24, 2

# Kernel and dilation ("input stride") of fc6, and the channels of fc6 and fc7, of LargeFOV in Table 2.
FC6_KERNEL, FC6_DILATION, FC_CHANNELS = 3, 12, 1024

# Channels of fc6 and fc7 of VGG-16 itself.
VGG_CHANNELS = 4096

STRIDE = 8


class DeepLabLargeFOV(nn.Module):
    """VGG-16 at stride 8, its fully connected layers a dilated 3x3 and a 1x1 convolution, upsampled bilinearly.

    - images: (N, C, H, W)
    - returns: logits (N, K, H, W)
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, dropout: float = 0.5, backbone_weights: str = "none"
    ) -> None:
        super().__init__()
        trunk = build_trunk(in_channels, backbone_weights, batch_norm=False)
        self.normalise = trunk.normalise
        self.provenance = trunk.provenance
        self.features = dilated(trunk.features)
        self.fc6 = nn.Conv2d(512, FC_CHANNELS, FC6_KERNEL, padding=FC6_DILATION, dilation=FC6_DILATION)
        self.fc7 = nn.Conv2d(FC_CHANNELS, FC_CHANNELS, 1)
        self.fc8 = nn.Conv2d(FC_CHANNELS, num_classes, 1)
        self.dropout = nn.Dropout(dropout)
        initialise(self.fc6)
        initialise(self.fc7)
        # A Gaussian of this deviation, as in the authors' network.
        nn.init.normal_(self.fc8.weight, std=0.01)
        nn.init.zeros_(self.fc8.bias)
        if trunk.state:
            fc6, fc7 = decimated(*fully_connected(trunk, VGG_CHANNELS))
            self.fc6.load_state_dict(fc6)
            self.fc7.load_state_dict(fc7)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = self.features(self.normalise(images))
        features = self.dropout(functional.relu(self.fc6(features)))
        features = self.dropout(functional.relu(self.fc7(features)))
        return upsampled(self.fc8(features), tuple(images.shape[-2:]))


def decimated(fc6: tuple[Tensor, Tensor], fc7: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the 3x3 fc6 and fc7 of 1024 channels take over from VGG-16's 7x7 fc6 and fc7 of 4096.

    Section 3.2 decimates fc6 in space: rows and columns 0, 3 and 6 of 7 remain. Which channels do it leaves open: here
    every fourth.

    - fc6, fc7: weight (4096, C, h, w) and bias (4096)
    """
    every = VGG_CHANNELS // FC_CHANNELS
    (fc6_weight, fc6_bias), (fc7_weight, fc7_bias) = fc6, fc7
    return (
        {"weight": fc6_weight[::every, :, ::FC6_KERNEL, ::FC6_KERNEL], "bias": fc6_bias[::every]},
        {"weight": fc7_weight[::every, ::every], "bias": fc7_bias[::every]},
    )


def dilated(features: nn.Sequential) -> nn.Sequential:
    """Return VGG-16's layers with the published poolings, 3x3 and rounding sizes up, and the last ones dilated."""
    strides = iter(POOLING_STRIDES)
    layers = []
    for index, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            layer = nn.MaxPool2d(3, next(strides), padding=1, ceil_mode=True)
        elif isinstance(layer, nn.Conv2d) and index >= DILATED_FROM:
            layer.dilation = layer.padding = (DILATION, DILATION)
        layers.append(layer)
    return nn.Sequential(*layers)


def upsampled(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return logits at stride 8 bilinearly upsampled to the size of the images.

    Windows of 3 pixels at stride 2 keep cells over pixels 0, 8, 16, ..., so corners are aligned (the published network
    takes sizes of 8 n + 1 for this reason), and what is beyond the image is cut off.
    """
    height, width = ((cells - 1) * STRIDE + 1 for cells in logits.shape[-2:])
    logits = functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=True)
    return logits[..., : size[0], : size[1]]
