"""What identifies the weights of an encoder: where they come from, and the SHA-256 of the file that was read."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import timm

from segbench.weights import hub_provenance

from .encoders import is_from_timm, timm_name

# What timm looks for in a repository of the hub, in its order; SMP looks for the first alone.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def provenance_of(encoder: str, tag: str) -> dict[str, str]:
    """Return repository, commit and SHA-256 of weights that SMP has fetched for an encoder.

    Commit and hash are left out where they did not come by way of the hub's cache.
    """
    if not is_from_timm(encoder):
        settings = smp.encoders.encoders[encoder]["pretrained_settings"][tag]
        return hub_provenance(settings["repo_id"], HUB_FILES[:1], settings["revision"])
    config = timm.models.get_pretrained_cfg(timm_name(encoder))
    repository, _, revision = (config.hf_hub_id or "").partition("@")
    if not repository:
        return {"weights": f"{config.architecture}.{config.tag}"}
    own = (config.hf_hub_filename,) if config.hf_hub_filename else ()
    return hub_provenance(repository, (*own, *HUB_FILES), revision or None)
