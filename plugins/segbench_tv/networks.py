"""torchvision's segmentation networks, built with the weights and for the images that segbench hands them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torchvision
from torch import nn
from torch.nn import functional

from segbench import WeightsError
from segbench.weights import file_provenance

from .weights import load_backbone, provenance_of

if TYPE_CHECKING:
    from torch import Tensor

# Of images in [0, 1]; torchvision's references/classification/presets.py.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# torchvision's name of the weights that `imagenet` stands for.
HUB_TAG = "IMAGENET1K_V1"

# The share of the auxiliary head's loss in PSPNet (Zhao 2017, section 5.2).
AUXILIARY_WEIGHT = 0.4


class Network(nn.Module):
    """Backbone and heads of a torchvision network, without its final upsampling.

    The auxiliary head runs in training only. `normalise` converts images from [-1, 1] to what the weights were trained
    with. `provenance` tells the weights that the backbone was built with.

    - images: (N, C, H, W), float in [-1, 1]
    - returns: logits (N, K, h, w) at the backbone's stride; in training with an auxiliary head `(logits, logits)`
    """

    def __init__(self, network: nn.Module, normalise: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = network.backbone
        self.classifier = network.classifier
        self.aux_classifier = getattr(network, "aux_classifier", None)
        self.provenance: dict[str, str] = {}

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits, in training with those of the auxiliary head behind them."""
        features = self.backbone(self.normalise(images))
        # Lite R-ASPP's head reads two stages, the others' one.
        logits = self.classifier(features.get("out", features))
        if self.training and self.aux_classifier is not None:
            return logits, self.aux_classifier(features["aux"])
        return logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return 0.4 times the cross-entropy of the auxiliary head, 0 if all pixels are ignored.

        - auxiliary: logits (N, K, h, w)
        - target: (N, H, W), int64, ignored pixels being -100
        """
        (logits,) = auxiliary
        logits = functional.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)
        total = functional.cross_entropy(logits, target, reduction="sum")
        return AUXILIARY_WEIGHT * total / (target >= 0).sum().clamp_min(1)


class Normalise(nn.Module):
    """Images in [-1, 1] to (x - mean) / std of ImageNet, where x is the image in [0, 1].

    With other than 3 channels, mean and standard deviation follow the first convolution: repeated where its weights
    are repeated, averaged where they are summed for one channel.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        mean, std = _per_channel(IMAGENET_MEAN, in_channels), _per_channel(IMAGENET_STD, in_channels)
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the converted images."""
        return images * self.scale + self.shift


def build_network(
    architecture: str, in_channels: int, num_classes: int, backbone: str, backbone_weights: str, **options: bool
) -> Network:
    """Build `architecture` of torchvision on `backbone`; `options` are torchvision's own.

    Raises WeightsError for weights that are missing or do not fit.
    """
    build = getattr(torchvision.models.segmentation, f"{architecture}_{backbone}")
    options |= {"num_classes": num_classes}
    provenance: dict[str, str] = {}
    if backbone_weights == "imagenet":
        model = _from_hub(build, backbone, options)
        provenance = provenance_of(backbone, HUB_TAG)
    else:
        model = build(weights=None, weights_backbone=None, **options)
        if backbone_weights != "none":
            path = Path(backbone_weights).expanduser()
            load_backbone(path, backbone, model.backbone)
            provenance = file_provenance(path)
    pretrained = backbone_weights != "none"
    _adapt_first_convolution(model.backbone, in_channels, pretrained=pretrained)
    network = Network(model, Normalise(in_channels) if pretrained else nn.Identity())
    network.provenance = provenance
    return network


def _from_hub(build, backbone: str, options: dict[str, bool | int]) -> nn.Module:
    try:
        return build(weights=None, weights_backbone=HUB_TAG, **options)
    except OSError as error:
        raise WeightsError(
            f"backbone_weights: the imagenet weights of {backbone} could not be downloaded ({error}); give the path of "
            "a .safetensors or .pth file that holds them, or none"
        ) from error


def _adapt_first_convolution(backbone: nn.Module, in_channels: int, *, pretrained: bool) -> None:
    """Give the first convolution `in_channels` inputs, keeping pretrained weights as timm does.

    For one channel they are summed over the colours; for others repeated, and scaled so that the sum stays.
    """
    name, first = next((name, module) for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d))
    if in_channels == first.in_channels:
        return
    adapted = nn.Conv2d(
        in_channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=first.bias is not None
    )
    nn.init.kaiming_normal_(adapted.weight, mode="fan_out", nonlinearity="relu")
    if pretrained:
        colours = torch.arange(in_channels) % first.in_channels
        weight = first.weight.detach()
        summed = weight.sum(1, keepdim=True)
        repeated = weight[:, colours] * (first.in_channels / in_channels)
        adapted.weight = nn.Parameter(summed if in_channels == 1 else repeated)
    backbone.set_submodule(name, adapted)


def _per_channel(values: tuple[float, ...], in_channels: int) -> Tensor:
    tensor = torch.tensor(values)
    tensor = tensor.mean(0, keepdim=True) if in_channels == 1 else tensor[torch.arange(in_channels) % len(values)]
    return tensor.view(1, in_channels, 1, 1)
