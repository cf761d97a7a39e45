"""Pretrained networks of transformers with another classifier and another number of channels."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForSemanticSegmentation

from segbench import WeightsError

from .configurations import channels_of, set_channels

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor, nn
    from transformers import PreTrainedConfig

_SHOWN = 5


def load_pretrained(folder: Path, config: PreTrainedConfig, in_channels: int, num_classes: int) -> nn.Module:
    """Return the network of a folder for so many channels and classes, in training mode and float32.

    Raises WeightsError if the folder lacks weights of the backbone, or weights other than the classifier's do not fit.
    """
    config.num_labels = num_classes
    held = channels_of(config)
    network = _loaded(folder, config, num_classes)
    if in_channels == held:
        return network.train()
    wider = copy.deepcopy(config)
    set_channels(wider, in_channels)
    adapted = AutoModelForSemanticSegmentation.from_config(wider, dtype=torch.float32)
    adapted.load_state_dict(_with_channels(network.state_dict(), adapted.state_dict()))
    return adapted.train()


def _loaded(folder: Path, config: PreTrainedConfig, num_classes: int) -> nn.Module:
    try:
        network, report = AutoModelForSemanticSegmentation.from_pretrained(
            folder,
            config=config,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:
        raise WeightsError(
            f"model: the weights in {folder} cannot be loaded ({type(error).__name__}: {error})"
        ) from error
    _check_fit(folder, network, report, num_classes)
    return network


def _check_fit(folder: Path, network: nn.Module, report: dict[str, Any], num_classes: int) -> None:
    backbone = network.base_model_prefix if hasattr(network, network.base_model_prefix or "-") else "backbone"
    missing = [name for name in report["missing_keys"] if name.startswith(f"{backbone}.")]
    misshapen = [
        f"{name} {tuple(given)} instead of {tuple(expected)}"
        for name, given, expected in report["mismatched_keys"]
        # What is as long as there are classes is a classifier, which is drawn anew.
        if expected[:1] != (num_classes,) or given[1:] != expected[1:]
    ]
    found = {"missing": missing, "of another shape": misshapen}
    complaints = "; ".join(f"{title}: {_listed(names)}" for title, names in found.items() if names)
    if complaints:
        raise WeightsError(f"model: the weights in {folder} do not fit a {type(network).__name__}; {complaints}")


def _with_channels(given: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with those of the first convolution for another number of channels.

    For one channel they are summed over the colours; for others repeated, and scaled so that the sum stays, as timm
    does.
    """
    return {name: _first_convolution(weight, expected[name]) for name, weight in given.items()}


def _first_convolution(weight: Tensor, expected: Tensor) -> Tensor:
    if weight.shape == expected.shape:
        return weight
    held, wanted = weight.shape[1], expected.shape[1]
    if wanted == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(wanted) % held] * (held / wanted)


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
