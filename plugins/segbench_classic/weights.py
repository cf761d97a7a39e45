"""Files of named tensors, read without running code from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import safetensors.torch
import torch

from segbench import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SUFFIXES = (".safetensors", ".pth", ".pt")


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
