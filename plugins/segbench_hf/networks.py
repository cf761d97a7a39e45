"""Networks of transformers, built with the weights and for the images that segbench hands them."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.utils import are_progress_bars_disabled
from torch import nn
from torch.nn import functional
from transformers import AutoModelForSemanticSegmentation
from transformers.utils import logging

from segbench import SegbenchError

from .configurations import (
    MODEL_TYPES,
    check_sizes,
    new_configuration,
    read_configuration,
    set_channels,
    size_multiple,
)
from .pretrained import load_pretrained
from .sources import find_source, read_statistics
from .stand_ins import AuxiliaryHead, GridNeck
from .unused import freeze_unused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor
    from transformers import PreTrainedConfig

    from .sources import Statistics

# What SegFormer's and BEiT's coarsest stages need, and twice that for the pooling of what they give.
MINIMUM_SIZE = 64


class Network(nn.Module):
    """A network of transformers behind the conversion of images to what its weights were trained with.

    `provenance` tells the weights it was built with.

    - images: (N, C, H, W), float in [-1, 1], H and W multiples of `size_multiple` and at least `minimum_size`
    - returns: logits (N, K, h, w) of the network's own size; in training with an auxiliary head `(logits, logits)`
    """

    def __init__(self, model: nn.Module, normalise: nn.Module, provenance: Mapping[str, str]) -> None:
        super().__init__()
        self.normalise = normalise
        self.model = model
        freeze_unused(model)
        self.size_multiple = size_multiple(model.config)
        self.minimum_size = MINIMUM_SIZE
        self.auxiliary_weight = getattr(model.config, "auxiliary_loss_weight", 0.0)
        self.provenance = dict(provenance)
        # Position embeddings are made for one size of images; some networks resize them only when told.
        flexible = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if flexible else {}
        if getattr(model, "auxiliary_head", None) is not None:
            model.auxiliary_head = AuxiliaryHead(model.auxiliary_head)
        if model.config.model_type == "dpt":
            model.neck = GridNeck(model.neck, model.config.patch_size)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits, in training with those of the auxiliary head behind them."""
        neck, auxiliary = getattr(self.model, "neck", None), getattr(self.model, "auxiliary_head", None)
        if isinstance(neck, GridNeck):
            neck.expect(images)
        logits = self.model(self.normalise(images), **self.options).logits
        return (logits, auxiliary.taken()) if self.training and auxiliary is not None else logits

    def auxiliary_loss(self, auxiliary: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return the weighted cross-entropy of the auxiliary head, 0 if all pixels are ignored.

        - auxiliary: logits (N, K, h, w)
        - target: (N, H, W), int64, ignored pixels being -100
        """
        (logits,) = auxiliary
        logits = functional.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)
        total = functional.cross_entropy(logits, target, reduction="sum")
        return self.auxiliary_weight * total / (target >= 0).sum().clamp_min(1)


class Normalise(nn.Module):
    """Images in [-1, 1] to (x - mean) / std, where x is the image in [0, 1], as the weights' image processor does.

    With other than 3 channels, mean and standard deviation follow the first convolution: repeated where its weights
    are repeated, averaged where they are summed for one channel.
    """

    def __init__(self, statistics: Statistics, in_channels: int) -> None:
        super().__init__()
        mean, std = (_per_channel(values, in_channels) for values in (statistics.mean, statistics.std))
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)
        self.reversed_channels = statistics.reversed_channels and in_channels == 3

    def forward(self, images: Tensor) -> Tensor:
        """Return the converted images."""
        if self.reversed_channels:
            images = images.flip(1)
        return images * self.scale + self.shift


def build_network(in_channels: int, num_classes: int, model: str, revision: str, entries: Mapping[str, Any]) -> Network:
    """Build a network of transformers, from scratch where `model` is a model type, else with pretrained weights.

    Raises WeightsError for weights that are missing or do not fit, SegbenchError for entries of the configuration that
    will not do and for networks that take images of one size only.
    """
    with _quiet():
        if model in MODEL_TYPES:
            config = new_configuration(model, entries, num_classes)
            check_sizes(config)
            set_channels(config, in_channels)
            return Network(_created(config), nn.Identity(), {})
        source = find_source(model, revision)
        config = read_configuration(source.folder, entries)
        check_sizes(config)
        network = load_pretrained(source.folder, config, in_channels, num_classes)
    return Network(network, Normalise(read_statistics(source.folder), in_channels), source.provenance)


def _created(config: PreTrainedConfig) -> nn.Module:
    try:
        return AutoModelForSemanticSegmentation.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:
        raise SegbenchError(
            f"a {config.model_type} of this configuration cannot be built ({type(error).__name__}: {error})"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing progress, and reports of weights that are checked here."""
    verbosity = logging.get_verbosity()
    shows_bars = logging.is_progress_bar_enabled() and not are_progress_bars_disabled()
    logging.set_verbosity_error()
    if shows_bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows_bars:
            logging.enable_progress_bar()


def _per_channel(values: Sequence[float], in_channels: int) -> Tensor:
    tensor = torch.tensor(values)
    tensor = tensor.mean(0, keepdim=True) if in_channels == 1 else tensor[torch.arange(in_channels) % len(values)]
    return tensor.view(1, in_channels, 1, 1)
