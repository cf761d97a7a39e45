"""Files of pretrained weights: read without running code from them, checked key by key, and identified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import timm
import torch

from segbench import WeightsError
from segbench.weights import SUFFIXES, hub_provenance, misfit, read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from timm.models import PretrainedCfg
    from torch import Tensor, nn

# What timm looks for in a repository of the hub, in its order.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def is_path(weights: str) -> bool:
    """Tell whether an option names a file, and not a tag.

    >>> is_path("resnet18.pth"), is_path("weights/resnet18"), is_path("a1_in1k")
    (True, True, False)
    """
    return weights.endswith(SUFFIXES) or Path(weights).name != weights


def check_weights(path: Path, backbone: str) -> None:
    """Raise WeightsError unless the file holds all weights of timm's classification network, and no others.

    The classifier itself is ignored: it may be there, be of any size, or be missing.
    """
    network = _classification_network(backbone)
    classifiers = network.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ((classifiers,) if isinstance(classifiers, str) else classifiers))
    given = _backbone_of(read_weights(path, "weights"), heads)
    complaints = misfit(given, _backbone_of(network.state_dict(), heads))
    if complaints:
        raise WeightsError(f"weights: {path} does not fit the backbone {backbone}; {complaints}")


def provenance_of(config: PretrainedCfg) -> dict[str, str]:
    """Return what identifies weights that timm has fetched: repository, commit and the SHA-256 of the cached file.

    Commit and hash are left out where timm took the weights from elsewhere.
    """
    repository, _, revision = (config.hf_hub_id or "").partition("@")
    if not repository:
        return {"weights": f"{config.architecture}.{config.tag}"}
    own = (config.hf_hub_filename,) if config.hf_hub_filename else ()
    return hub_provenance(repository, (*own, *HUB_FILES), revision or None)


def _backbone_of(state: Mapping[str, Tensor], heads: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(heads)}


def _classification_network(backbone: str) -> nn.Module:
    try:
        with torch.device("meta"):
            return timm.create_model(backbone)
    except Exception:
        # Some networks compute with their weights while being built, which meta tensors cannot.
        return timm.create_model(backbone)
