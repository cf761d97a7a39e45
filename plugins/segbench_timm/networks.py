"""A backbone of timm and a decoder, built with the weights and for the images that segbench hands them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import timm
import torch
from torch import nn

from segbench import SegbenchError
from segbench.weights import file_provenance

from .backbones import create_backbone, create_from_file, create_from_hub
from .files import is_path, provenance_of
from .names import check_backbone, with_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

# Finer feature maps add cost and little else: the decoders end at stride 4.
FINEST_STRIDE = 4

# Of images in [0, 1], for a model of which timm states nothing.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Network(nn.Module):
    """A backbone of timm, a decoder of some of its feature maps, and before them the conversion of images.

    `provenance` tells the weights it was built with.

    - images: (N, C, H, W), float in [-1, 1], H and W multiples of `size_multiple` and at least `minimum_size`
    - returns: logits (N, K, h, w) at the stride of the finest map, which is usually 4
    """

    def __init__(
        self, normalise: nn.Module, backbone: nn.Module, places: Sequence[int], decoder: nn.Module, size_multiple: int
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.backbone = backbone
        self.decoder = decoder
        self.places = tuple(places)
        # Some timm networks give (N, H, W, C).
        self.channels_come_last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
        self.size_multiple = size_multiple
        # The decoder normalises over what may be one pixel of a batch of one image.
        self.minimum_size = 2 * size_multiple
        self.provenance: dict[str, str] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = self.backbone(self.normalise(images))
        chosen = [features[place] for place in self.places]
        if self.channels_come_last:
            chosen = [held.permute(0, 3, 1, 2).contiguous() for held in chosen]
        return self.decoder(chosen)


class Normalise(nn.Module):
    """Images in [-1, 1] to (x - mean) / std, where x is the image in [0, 1].

    With other than 3 channels, mean and standard deviation follow the first convolution: repeated where its weights
    are repeated, averaged where they are summed for one channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], in_channels: int) -> None:
        super().__init__()
        means, deviations = _per_channel(mean, in_channels), _per_channel(std, in_channels)
        self.register_buffer("scale", 0.5 / deviations, persistent=False)
        self.register_buffer("shift", (0.5 - means) / deviations, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the converted images."""
        return images * self.scale + self.shift


def build_network(
    decoder: Callable[[Sequence[int], int, int], nn.Module],
    in_channels: int,
    num_classes: int,
    backbone: str,
    weights: str,
    out_indices: list[int] | None,
    width: int,
) -> Network:
    """Build a backbone of timm with a decoder.

    Raises WeightsError for weights that are missing or do not fit, SegbenchError for a backbone that is unknown or
    takes images of one size only, and for other options that will not do.
    """
    check_backbone(backbone)
    if width < 1:
        raise SegbenchError(f"timm: width is {width}; give at least 1 channel")
    options = {"in_chans": in_channels, **({} if out_indices is None else {"out_indices": tuple(out_indices)})}
    provenance: dict[str, str] = {}
    if weights == "none":
        features = create_backbone(backbone, options)
    elif is_path(weights):
        path = Path(weights).expanduser()
        features = create_from_file(path, backbone, options)
        provenance = file_provenance(path)
    else:
        backbone = with_tag(backbone, weights)
        features = create_from_hub(backbone, options)
        provenance = provenance_of(timm.models.get_pretrained_cfg(backbone))
    places = _places(features.feature_info.reduction(), out_indices)
    channels = [features.feature_info.channels()[place] for place in places]
    normalise = _normalise_for(backbone, in_channels) if provenance else nn.Identity()
    head = decoder(channels, width, num_classes)
    network = Network(normalise, features, places, head, _size_multiple(features))
    network.provenance = provenance
    return network


def _places(strides: Sequence[int], out_indices: list[int] | None) -> list[int]:
    """Return which of the backbone's maps are decoded, finest first."""
    ordered = sorted(range(len(strides)), key=lambda place: strides[place])
    if out_indices is not None:
        return ordered
    return [place for place in ordered if strides[place] >= FINEST_STRIDE] or ordered


def _size_multiple(features: nn.Module) -> int:
    # Some networks join stages deeper than those that are read (HRNet), or cut images into windows (Swin).
    return max(stage["reduction"] for stage in features.feature_info.info)


def _normalise_for(backbone: str, in_channels: int) -> Normalise:
    published = timm.models.get_pretrained_cfg(backbone)
    mean, std = (published.mean, published.std) if published else (IMAGENET_MEAN, IMAGENET_STD)
    return Normalise(mean, std, in_channels)


def _per_channel(values: Sequence[float], in_channels: int) -> Tensor:
    tensor = torch.tensor(values)
    tensor = tensor.mean(0, keepdim=True) if in_channels == 1 else tensor[torch.arange(in_channels) % len(values)]
    return tensor.view(1, in_channels, 1, 1)
