"""Configurations of transformers, with entries of one's own, classes and channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES

from segbench import SegbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from transformers import PreTrainedConfig

MODEL_TYPES = tuple(MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES)

# Model types that transformers builds for images of one size only.
ONE_SIZE = ("data2vec-vision",)

# The coarsest stride of networks of convolutions and of pyramids of transformers.
USUAL_STRIDE = 32


def new_configuration(model_type: str, entries: Mapping[str, Any], num_classes: int) -> PreTrainedConfig:
    """Return the configuration of a network from scratch; SegbenchError for entries that it does not have or take."""
    _check_entries(model_type, entries, AutoConfig.for_model(model_type))
    try:
        return AutoConfig.for_model(model_type, num_labels=num_classes, **entries)
    except Exception as error:  # each configuration checks its entries in its own way
        raise _refusal(model_type, entries, error) from error


def read_configuration(folder: Path, entries: Mapping[str, Any]) -> PreTrainedConfig:
    """Return the configuration of a pretrained network; SegbenchError for one of another task, and for wrong entries.

    What it says of classes and channels stays.
    """
    try:
        held = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise SegbenchError(
            f"model: the configuration in {folder} cannot be read ({type(error).__name__}: {error})"
        ) from error
    if held.model_type not in MODEL_TYPES:
        raise SegbenchError(
            f"model: {folder} holds a {held.model_type}, which transformers has no semantic segmentation for; it has "
            f"{', '.join(MODEL_TYPES)}"
        )
    _check_entries(held.model_type, entries, held)
    try:
        return type(held).from_dict({**held.to_dict(), **entries})
    except Exception as error:
        raise _refusal(held.model_type, entries, error) from error


def channels_of(config: PreTrainedConfig) -> int:
    """Return the number of channels that a configuration states; SegbenchError if it states none."""
    for part in _parts(config):
        if isinstance(getattr(part, "num_channels", None), int):
            return part.num_channels
    raise SegbenchError(
        f"a {config.model_type} of this configuration does not state its number of channels, so it cannot be built "
        "for this dataset"
    )


def set_channels(config: PreTrainedConfig, in_channels: int) -> None:
    """Set the number of channels wherever a configuration states it; SegbenchError if it states none."""
    channels_of(config)
    for part in _parts(config):
        if hasattr(part, "num_channels"):
            part.num_channels = in_channels


def check_sizes(config: PreTrainedConfig) -> None:
    """Raise SegbenchError for networks that take images of one size only."""
    if config.model_type in ONE_SIZE:
        raise SegbenchError(
            f"transformers' {config.model_type} takes images of {config.image_size}x{config.image_size} pixels only, "
            "but training crops and evaluated images may be of any size; give another model, such as beit"
        )


def size_multiple(config: PreTrainedConfig) -> int:
    """Return the number of pixels of which image height and width must be multiples.

    Patches that are powers of two pixels wide are merged or halved down to a stride of 32; others are kept.
    """
    patch = next((part.patch_size for part in _parts(config) if isinstance(getattr(part, "patch_size", None), int)), 1)
    return math.lcm(USUAL_STRIDE, patch) if patch.bit_count() == 1 else patch


def _parts(config: PreTrainedConfig) -> Iterator[PreTrainedConfig]:
    yield config
    if getattr(config, "backbone_config", None) is not None:
        yield config.backbone_config


def _check_entries(model_type: str, entries: Mapping[str, Any], config: PreTrainedConfig) -> None:
    # transformers would keep a misspelt entry as an attribute that nobody reads.
    known = [*config.to_dict(), "backbone_config"]
    for name, value in entries.items():
        if name not in known or name in ("model_type", "num_labels", "id2label", "label2id"):
            raise SegbenchError(
                f"config: {model_type} has no entry {name!r} to be set; it has {', '.join(sorted(known))}"
            )
        if name == "backbone_config" and isinstance(value, dict) and "model_type" in value:
            inner = {key: entry for key, entry in value.items() if key != "model_type"}
            _check_entries(value["model_type"], inner, AutoConfig.for_model(value["model_type"]))


def _refusal(model_type: str, entries: Mapping[str, Any], error: Exception) -> SegbenchError:
    return SegbenchError(f"config: {model_type} cannot take {dict(entries)} ({type(error).__name__}: {error})")
