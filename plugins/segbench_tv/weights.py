"""Weights of a backbone from a file: read without running code from it, checked key by key, and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torchvision

from segbench import WeightsError
from segbench.weights import download_provenance, misfit, read_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

# The classifiers of torchvision's networks, which a backbone lacks.
HEADS = ("fc.", "classifier.")


def load_backbone(path: Path, name: str, backbone: nn.Module) -> None:
    """Load the weights of torchvision's classification network `name` into the backbone made of it.

    Raises WeightsError, naming the keys, unless the file holds all its weights, and beside a classifier no others.
    """
    given = {
        # torchvision makes a MobileNet backbone of the network's `features` alone.
        key.removeprefix("features."): value
        for key, value in read_weights(path, "backbone_weights").items()
        if not key.startswith(HEADS)
    }
    # Lite R-ASPP and DeepLabV3 both keep every stage, so that the keys must agree exactly.
    complaints = misfit(given, backbone.state_dict())
    if complaints:
        raise WeightsError(f"backbone_weights: {path} does not fit {name}; {complaints}")
    backbone.load_state_dict(given)


def provenance_of(name: str, tag: str) -> dict[str, str]:
    """Return what identifies weights that torchvision has fetched: their tag and the SHA-256 of the cached file."""
    url = torchvision.models.get_model_weights(name)[tag].url
    return download_provenance(f"torchvision/{name}.{tag}", url)
