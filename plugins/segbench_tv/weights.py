"""Weights of a backbone from a file: read without running code from it, checked key by key, and loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
import torchvision

from segbench import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

SUFFIXES = (".safetensors", ".pth", ".pt")

# The classifiers of torchvision's networks, which a backbone lacks.
HEADS = ("fc.", "classifier.")

_SHOWN = 5


def load_backbone(path: Path, name: str, backbone: nn.Module) -> None:
    """Load the weights of torchvision's classification network `name` into the backbone made of it.

    Raises WeightsError, naming the keys, unless the file holds all its weights, and beside a classifier no others.
    """
    given = {
        # torchvision makes a MobileNet backbone of the network's `features` alone.
        key.removeprefix("features."): value
        for key, value in read_weights(path).items()
        if not key.startswith(HEADS)
    }
    try:
        # Lite R-ASPP and DeepLabV3 both keep every stage, so that the keys must agree exactly.
        missing, unexpected = backbone.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"backbone_weights: {path} does not fit {name}: {error}") from error
    complaints = [
        f"{title}: {_listed(keys)}" for title, keys in (("missing", missing), ("unexpected", unexpected)) if keys
    ]
    if complaints:
        raise WeightsError(f"backbone_weights: {path} does not fit {name}; {'; '.join(complaints)}")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors.

    Raises WeightsError for a file that cannot be read without running code from it, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"backbone_weights: {path} cannot be read ({type(error).__name__}); it must be a .safetensors file, or one "
            "that torch.load takes with weights_only=True"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"backbone_weights: {path} does not hold named tensors (a state dict)")
    return state


def file_provenance(path: Path) -> dict[str, str]:
    """Return what identifies a file of weights: its name and its SHA-256."""
    with open(path, "rb") as file:
        return {"weights": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def hub_provenance(name: str, tag: str) -> dict[str, str]:
    """Return what identifies weights that torchvision has fetched: their tag and the SHA-256 of the cached file.

    The hash is left out where the file is not in torch's cache.
    """
    url = torchvision.models.get_model_weights(name)[tag].url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    known = file_provenance(cached) if cached.is_file() else {}
    return {**known, "weights": f"torchvision/{name}.{tag}"}


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
