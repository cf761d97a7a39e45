"""SMP's networks, built with the weights and for the images that segbench hands them."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from segbench import SegbenchError, WeightsError
from segbench.weights import SUFFIXES, file_provenance

from .encoders import check_encoder, file_statistics, hub_statistics, hub_tags, is_from_timm, timm_name
from .provenance import provenance_of
from .weights import check_timm_weights, load_own_weights, quiet_timm

if TYPE_CHECKING:
    from torch import Tensor

    from .encoders import Statistics

# Architectures that keep the encoder's last features at a finer stride than it was made for.
DILATED = ("deeplabv3", "deeplabv3plus", "pan")


class Network(nn.Module):
    """An SMP network behind the conversion of images from [-1, 1] to what its weights were trained with.

    `provenance` tells the weights that its encoder was built with.

    - images: (N, C, H, W), float in [-1, 1], H and W multiples of `size_multiple` and at least `minimum_size`
    - returns: logits (N, K, H, W)
    """

    def __init__(self, model: nn.Module, normalise: nn.Module, size_multiple: int, minimum_size: int) -> None:
        super().__init__()
        self.model = model
        self.normalise = normalise
        self.size_multiple = size_multiple
        self.minimum_size = minimum_size
        self.provenance: dict[str, str] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.model(self.normalise(images))


class Normalise(nn.Module):
    """Images in [-1, 1] to (x - mean) / std, where x is the image in [0, 1].

    With other than 3 channels, mean and standard deviation follow the first convolution: repeated where its weights
    are repeated, averaged where they are summed for one channel.
    """

    def __init__(self, statistics: Statistics, in_channels: int) -> None:
        super().__init__()
        mean, std = (_per_channel(values, in_channels) for values in statistics)
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the converted images."""
        return images * self.scale + self.shift


def build_network(
    architecture: str,
    in_channels: int,
    num_classes: int,
    encoder: str,
    encoder_weights: str,
    size_multiple: int | None,
    **options: Any,
) -> Network:
    """Build an architecture of SMP; `options` are its own.

    Raises WeightsError for weights that are missing or do not fit, SegbenchError for an unknown encoder and for one
    that the architecture cannot use.
    """
    if size_multiple is not None and size_multiple < 1:
        raise SegbenchError(f"smp/{architecture}: size_multiple is {size_multiple}; give at least 1 pixel")
    check_encoder(encoder)
    options |= {"in_channels": in_channels, "classes": num_classes}
    if architecture == "dpt":
        # Otherwise timm keeps its classifier, which a segmenter has no use for.
        options["num_classes"] = 0
    normalise: nn.Module = nn.Identity()
    provenance: dict[str, str] = {}
    if encoder_weights == "none":
        model = _create(architecture, encoder, None, options)
    elif _is_path(encoder_weights):
        path = Path(encoder_weights).expanduser()
        model = _create_from_file(architecture, encoder, path, options)
        normalise = Normalise(file_statistics(encoder), in_channels)
        provenance = file_provenance(path)
    else:
        model = _create_from_hub(architecture, encoder, encoder_weights, options)
        normalise = Normalise(hub_statistics(encoder, encoder_weights), in_channels)
        provenance = provenance_of(encoder, encoder_weights)
    network = Network(model, normalise, size_multiple or needed_multiple(model, encoder), minimum_size(model))
    network.provenance = provenance
    return network


def needed_multiple(model: nn.Module, encoder: str) -> int:
    """Return the number of pixels of which image height and width must be multiples."""
    stride = model.encoder.output_stride
    if isinstance(model, smp.DPT):
        # Its decoder halves the patch grid once, and works at strides 4 to 32 whatever the patch size.
        return math.lcm(32, stride)
    if is_from_timm(encoder):
        # Some of timm's networks join stages deeper than the decoder reads (HRNet), or cut images into windows (Swin).
        return max(stride, *(stage["reduction"] for stage in model.encoder.model.feature_info.info))
    return stride if model.requires_divisible_input_shape else 1


def minimum_size(model: nn.Module) -> int:
    """Return the least height and width of images, in pixels."""
    # PAN's attention halves the encoder's output three times.
    return 8 * model.encoder.output_stride if isinstance(model, smp.PAN) else 1


def _create(architecture: str, encoder: str, weights: str | bool | None, options: dict[str, Any]) -> nn.Module:
    try:
        model = _create_for_any_size(architecture, encoder, weights, options)
    except Exception as error:
        hint = "; it needs an encoder that can be dilated" if architecture in DILATED else ""
        raise SegbenchError(
            f"smp/{architecture} cannot be built with the encoder {encoder!r}: {type(error).__name__}: {error}{hint}"
        ) from error
    if isinstance(model, smp.DPT) and model.encoder.output_stride.bit_count() != 1:
        raise SegbenchError(
            f"smp/dpt cannot be built with the encoder {encoder!r}: its patches have {model.encoder.output_stride} "
            "pixels, and SMP's decoder needs a power of two; give one of patch size 8, 16 or 32"
        )
    return model


def _create_for_any_size(
    architecture: str, encoder: str, weights: str | bool | None, options: dict[str, Any]
) -> nn.Module:
    published = timm.models.get_pretrained_cfg(timm_name(encoder)) if is_from_timm(encoder) else None
    if published and published.fixed_input_size:
        # timm's networks for one size of images differ in which option, if any, lets them take others.
        for flexible in ({"dynamic_img_size": True}, {"strict_img_size": False}):
            with suppress(TypeError):
                return smp.create_model(architecture, encoder, encoder_weights=weights, **options, **flexible)
    return smp.create_model(architecture, encoder, encoder_weights=weights, **options)


def _is_path(encoder_weights: str) -> bool:
    return encoder_weights.endswith(SUFFIXES) or Path(encoder_weights).name != encoder_weights


def _create_from_file(architecture: str, encoder: str, path: Path, options: dict[str, Any]) -> nn.Module:
    if is_from_timm(encoder):
        check_timm_weights(path, encoder)
        source = {"file": str(path), "custom_load": False}
        with quiet_timm():
            return _create(architecture, encoder, True, options | {"pretrained_cfg_overlay": source})
    model = _create(architecture, encoder, None, options | {"in_channels": 3})
    load_own_weights(path, encoder, model.encoder)
    model.encoder.set_in_channels(options["in_channels"], pretrained=True)
    return model


def _create_from_hub(architecture: str, encoder: str, tag: str, options: dict[str, Any]) -> nn.Module:
    if tag not in hub_tags(encoder):
        raise WeightsError(
            f"encoder_weights: {tag!r} is not known for the encoder {encoder!r}; give none, "
            f"{', '.join(hub_tags(encoder))}, or the path of a file ending in {', '.join(SUFFIXES)}"
        )
    try:
        return _create(architecture, encoder, True if is_from_timm(encoder) else tag, options)
    except SegbenchError as error:
        # If the pair itself does not fit, this says so.
        _create(architecture, encoder, None, options)
        raise WeightsError(
            f"encoder_weights: the {tag} weights of {encoder!r} could not be fetched from the Hugging Face hub "
            f"({error.__cause__}); give the path of a .safetensors or .pth file that holds them, or none"
        ) from error.__cause__


def _per_channel(values: tuple[float, ...], in_channels: int) -> Tensor:
    tensor = torch.tensor(values)
    tensor = tensor.mean(0, keepdim=True) if in_channels == 1 else tensor[torch.arange(in_channels) % len(values)]
    return tensor.view(1, in_channels, 1, 1)
