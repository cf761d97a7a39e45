"""What identifies the weights of an encoder: where they come from, and the SHA-256 of the file that was read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
import timm
from huggingface_hub import try_to_load_from_cache

from .encoders import is_from_timm, timm_name

if TYPE_CHECKING:
    from collections.abc import Iterable

# What timm looks for in a repository of the hub, in its order; SMP looks for the first alone.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def file_provenance(path: Path) -> dict[str, str]:
    """Return the name of a file of weights and its SHA-256."""
    return {"weights": path.name, "sha256": _sha256(path)}


def hub_provenance(encoder: str, tag: str) -> dict[str, str]:
    """Return repository, commit and SHA-256 of weights that SMP has fetched for an encoder.

    Commit and hash are left out where they did not come by way of the hub's cache.
    """
    if not is_from_timm(encoder):
        settings = smp.encoders.encoders[encoder]["pretrained_settings"][tag]
        return _cached(settings["repo_id"], settings["revision"], HUB_FILES[:1])
    config = timm.models.get_pretrained_cfg(timm_name(encoder))
    repository, _, revision = (config.hf_hub_id or "").partition("@")
    if not repository:
        return {"weights": f"{config.architecture}.{config.tag}"}
    own = (config.hf_hub_filename,) if config.hf_hub_filename else ()
    return _cached(repository, revision or None, (*own, *HUB_FILES))


def _cached(repository: str, revision: str | None, names: Iterable[str]) -> dict[str, str]:
    for name in names:
        found = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            # A cached file lies in snapshots/<commit>/.
            return {"weights": repository, "commit": Path(found).parent.name, "sha256": _sha256(Path(found))}
    return {"weights": repository}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
