"""timm's feature extractors, made to take images of any size."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import timm
import torch

from segbench import SegbenchError, WeightsError

from .files import check_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import nn

# timm's networks for one size of images differ in which option, if any, lets them take others.
FLEXIBLE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})


def create_backbone(backbone: str, options: Mapping[str, Any]) -> nn.Module:
    """Return the feature extractor of a backbone for images of any size; `options` are timm's.

    Raises SegbenchError if the backbone gives no feature maps, has not those that are asked for, or takes images of one
    size only.
    """
    published = timm.models.get_pretrained_cfg(backbone)
    if published is None or not published.fixed_input_size:
        return _create(backbone, options)
    features = _create_flexible(backbone, options)
    _check_takes_other_sizes(features, backbone, options["in_chans"], published.input_size[-1])
    return features


def create_from_file(path: Path, backbone: str, options: Mapping[str, Any]) -> nn.Module:
    """Return the feature extractor with the weights of a classification network from a file.

    Raises WeightsError unless they fit, else what `create_backbone` raises.
    """
    check_weights(path, backbone)
    source = {"file": str(path), "custom_load": False}
    with _quiet_timm():
        return create_backbone(backbone, {**options, "pretrained": True, "pretrained_cfg_overlay": source})


def create_from_hub(backbone: str, options: Mapping[str, Any]) -> nn.Module:
    """Return the feature extractor with the weights of its tag from the hub.

    Raises WeightsError if they cannot be fetched, else what `create_backbone` raises.
    """
    try:
        return create_backbone(backbone, {**options, "pretrained": True})
    except SegbenchError as error:
        # If the backbone itself will not do, this says so.
        create_backbone(backbone, options)
        raise WeightsError(
            f"weights: those of {backbone} could not be fetched from the Hugging Face hub ({error.__cause__}); give "
            "the path of a .safetensors or .pth file that holds them, or none"
        ) from error.__cause__


def _create(backbone: str, options: Mapping[str, Any]) -> nn.Module:
    try:
        return timm.create_model(backbone, features_only=True, **options)
    except Exception as error:
        raise _refusal(backbone, options, error) from error


def _create_flexible(backbone: str, options: Mapping[str, Any]) -> nn.Module:
    for flexible in FLEXIBLE[:-1]:
        try:
            return timm.create_model(backbone, features_only=True, **options, **flexible)
        except TypeError:
            continue
        except Exception as error:
            raise _refusal(backbone, options, error) from error
    return _create(backbone, options)


def _refusal(backbone: str, options: Mapping[str, Any], error: Exception) -> SegbenchError:
    chosen = f" with out_indices {list(options['out_indices'])}" if "out_indices" in options else ""
    return SegbenchError(
        f"timm: the backbone {backbone!r} cannot be made to give feature maps{chosen}: {type(error).__name__}: {error}"
    )


def _check_takes_other_sizes(features: nn.Module, backbone: str, in_channels: int, usual: int) -> None:
    """Raise SegbenchError unless the backbone takes an image of another size and shape than it was made for."""
    stride = max(stage["reduction"] for stage in features.feature_info.info)
    height, width = (usual // stride + 1) * stride, (usual // stride + 3) * stride
    try:
        with torch.no_grad():
            features.eval()(torch.zeros(1, in_channels, height, width))
    except Exception as error:
        raise SegbenchError(
            f"timm: the backbone {backbone!r} was made for images of {usual}x{usual} pixels and cannot take {height}x"
            f"{width}, but training crops and evaluated images may be of any size; give a convolutional one, or a "
            "transformer that timm can build for any size, such as vit_tiny_patch16_224 or swin_tiny_patch4_window7_224"
        ) from error
    features.train()


@contextmanager
def _quiet_timm() -> Iterator[None]:
    """Keep timm from warning of keys that a feature extractor does not need, once they have been checked."""
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
