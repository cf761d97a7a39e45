"""Weights that transformers' networks hold but never use on the way to their logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


def freeze_unused(model: nn.Module) -> None:
    """Take weights that no gradient can reach out of training, so that what is to be trained is trained."""
    for module in _unused(model):
        module.requires_grad_(False)


def _unused(model: nn.Module) -> Iterator[nn.Module]:
    config = model.config
    if config.model_type == "dpt":
        # The neck reads the layers' outputs before the last normalisation.
        yield model.dpt.layernorm
        # The coarsest map is the first, so there is nothing to add to it.
        yield model.neck.fusion_stage.layers[0].residual_layer1
    elif config.model_type == "beit":
        # A feature map "i" is what enters layer i, counted from 1.
        yield from model.beit.layers[max(config.out_indices) - 1 :]
    elif config.model_type == "mobilenet_v2":
        # The classification network's last convolution.
        yield model.mobilenet_v2.conv_1x1
