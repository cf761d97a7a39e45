"""torchvision's VGG-16 as a trunk: its convolutions, and what of its fully connected layers networks take over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import vgg

from segbench import WeightsError
from segbench.weights import download_provenance, file_provenance, misfit, read_weights

if TYPE_CHECKING:
    from torch import Tensor

# Of images in [0, 1]; torchvision's references/classification/presets.py.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Channels and pooling of VGG-16, configuration D of Simonyan 2015 (arXiv 1409.1556), under torchvision's name.
CONFIGURATION = vgg.cfgs["D"]

# What fc6 and fc7 are called in torchvision's classifiers, and the shape that fc6's input has.
FULLY_CONNECTED = ("classifier.0", "classifier.3")
FC6_INPUT = (512, 7, 7)

# The option that all these networks have.
OPTION = "backbone_weights"


@dataclass(frozen=True)
class Trunk:
    """VGG-16's convolutions behind the conversion of images to what its weights were trained with.

    `state` holds the pretrained weights under torchvision's names, the classifier's too, and `provenance` what
    identifies them; both are empty without.
    """

    features: nn.Sequential
    normalise: nn.Module
    state: dict[str, Tensor]
    provenance: dict[str, str]


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


def build_trunk(in_channels: int, backbone_weights: str, *, batch_norm: bool) -> Trunk:
    """Build VGG-16's convolutions, with batch normalisation or without.

    Raises WeightsError for weights that are missing or do not fit.
    """
    features = vgg.make_layers(CONFIGURATION, batch_norm)
    if backbone_weights == "none":
        adapt_first_convolution(features, in_channels, pretrained=False)
        initialise(features)
        return Trunk(features, nn.Identity(), {}, {})
    name = "vgg16_bn" if batch_norm else "vgg16"
    state, provenance = _published(name) if backbone_weights == "imagenet" else _from_file(backbone_weights)
    _load_features(features, state, f"{backbone_weights} does not fit {name}")
    adapt_first_convolution(features, in_channels, pretrained=True)
    return Trunk(features, Normalise(in_channels), state, provenance)


def fully_connected(trunk: Trunk, channels: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return weight and bias of fc6, as of a 7x7 convolution, and of fc7, as of a 1x1 one; both return `channels`.

    Raises WeightsError if the trunk's weights lack them or have another shape.
    """
    (fc6_weight, fc6_bias), (fc7_weight, fc7_bias) = (
        _layer(trunk.state, name, (channels, inputs))
        for name, inputs in zip(FULLY_CONNECTED, (math.prod(FC6_INPUT), channels), strict=True)
    )
    return (fc6_weight.unflatten(1, FC6_INPUT), fc6_bias), (fc7_weight[..., None, None], fc7_bias)


def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions as He 2015 (arXiv 1502.01852) does for ReLU; biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def adapt_first_convolution(features: nn.Sequential, in_channels: int, *, pretrained: bool) -> None:
    """Give the first convolution `in_channels` inputs, keeping pretrained weights as timm does.

    For one channel they are summed over the colours; for others repeated, and scaled so that the sum stays.
    """
    first = features[0]
    if in_channels == first.in_channels:
        return
    adapted = nn.Conv2d(in_channels, first.out_channels, first.kernel_size, padding=first.padding)
    if pretrained:
        colours = torch.arange(in_channels) % first.in_channels
        summed = first.weight.detach().sum(1, keepdim=True)
        repeated = first.weight.detach()[:, colours] * (first.in_channels / in_channels)
        adapted.weight = nn.Parameter(summed if in_channels == 1 else repeated)
        adapted.bias = first.bias
    features[0] = adapted


def _load_features(features: nn.Sequential, state: dict[str, Tensor], complaint: str) -> None:
    given = {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    others = {name: value for name, value in state.items() if not name.startswith(("features.", "classifier."))}
    complaints = misfit({**given, **others}, features.state_dict())
    if complaints:
        raise WeightsError(f"{OPTION}: {complaint}; {complaints}")
    features.load_state_dict(given)


def _layer(state: dict[str, Tensor], name: str, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
    if weight is None or bias is None or weight.shape != shape or bias.shape != shape[:1]:
        found = "missing" if weight is None or bias is None else f"of shape {tuple(weight.shape)}"
        raise WeightsError(
            f"backbone_weights: {name}, which should be {shape}, is {found}; this network takes over VGG-16's fully "
            "connected layers too, so give the file of the whole classification network"
        )
    return weight, bias


def _from_file(backbone_weights: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    path = Path(backbone_weights).expanduser()
    return read_weights(path, OPTION), file_provenance(path)


def _published(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    published = vgg.VGG16_BN_Weights if name == "vgg16_bn" else vgg.VGG16_Weights
    weights = published.IMAGENET1K_V1
    try:
        state = dict(weights.get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        raise WeightsError(
            f"{OPTION}: the imagenet weights of {name} could not be downloaded ({error}); give the path of a "
            ".safetensors or .pth file that holds them, or none"
        ) from error
    return state, download_provenance(f"torchvision/{name}.{weights.name}", weights.url)


def _per_channel(values: tuple[float, ...], in_channels: int) -> Tensor:
    tensor = torch.tensor(values)
    tensor = tensor.mean(0, keepdim=True) if in_channels == 1 else tensor[torch.arange(in_channels) % len(values)]
    return tensor.view(1, in_channels, 1, 1)
