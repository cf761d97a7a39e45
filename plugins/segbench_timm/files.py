"""Files of pretrained weights: read without running code from them, checked key by key, and identified."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import timm
import torch
from huggingface_hub import try_to_load_from_cache

from segbench import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from timm.models import PretrainedCfg
    from torch import Tensor, nn

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

# Batch normalisation's counter of batches, which files from before 2018 lack and torch then starts at 0.
COUNTER = "num_batches_tracked"

# What timm looks for in a repository of the hub, in its order.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")

_SHOWN = 5


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
    given = _backbone_of(_read_weights(path), heads)
    complaints = _complaints(given, _backbone_of(network.state_dict(), heads))
    if complaints:
        raise WeightsError(f"weights: {path} does not fit the backbone {backbone}; {complaints}")


def file_provenance(path: Path) -> dict[str, str]:
    """Return what identifies a file of weights: its name and its SHA-256."""
    return {"weights": path.name, "sha256": _sha256(path)}


def hub_provenance(config: PretrainedCfg) -> dict[str, str]:
    """Return what identifies weights that timm has fetched: repository, commit and the SHA-256 of the cached file.

    Commit and hash are left out where timm took the weights from elsewhere.
    """
    repository, _, revision = (config.hf_hub_id or "").partition("@")
    if not repository:
        return {"weights": f"{config.architecture}.{config.tag}"}
    for name in (config.hf_hub_filename, *HUB_FILES):
        found = try_to_load_from_cache(repository, name, revision=revision or None) if name else None
        if isinstance(found, str):
            # A cached file lies in snapshots/<commit>/.
            return {"weights": repository, "commit": Path(found).parent.name, "sha256": _sha256(Path(found))}
    return {"weights": repository}


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"weights: there is no file {path.absolute()}; give none, imagenet, another tag of the backbone, or the "
            f"path of a file ending in {', '.join(SUFFIXES)}"
        )
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"weights: {path} cannot be read ({type(error.__cause__ or error).__name__}); it must be a .safetensors "
            "file, or one that torch.load takes with weights_only=True"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"weights: {path} does not hold named tensors (a state dict)")
    return state


def _backbone_of(state: Mapping[str, Tensor], heads: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(heads) and not name.endswith(COUNTER)}


def _complaints(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    found = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in given and given[name].shape != value.shape
        ],
    }
    return "; ".join(f"{title}: {_listed(names)}" for title, names in found.items() if names)


def _classification_network(backbone: str) -> nn.Module:
    try:
        with torch.device("meta"):
            return timm.create_model(backbone)
    except Exception:
        # Some networks compute with their weights while being built, which meta tensors cannot.
        return timm.create_model(backbone)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
