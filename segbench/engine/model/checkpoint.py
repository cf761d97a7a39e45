"""Checkpoints and weights: safetensors files that are replaced atomically and never unpickle code."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from segbench.errors import RecordError
from segbench.files import check_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


Tensors = dict[str, torch.Tensor]


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON state as one file, replacing an older one atomically; raise RecordError if it cannot."""
    on_host = {name: _copy_to_host(tensor) for name, tensor in tensors.items()}
    partial = path.with_name(path.name + ".partial")
    try:
        save_file(on_host, partial, metadata={"state": json.dumps(state)})
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        cure = "free some space or choose another --results folder"
        raise RecordError(f"cannot write {path}: {error}; {cure}") from error


def load_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what `save_tensors` wrote; raise RecordError for a file that is missing, truncated or something else."""
    try:
        check_file(path)
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise RecordError(f"{path} is not a readable checkpoint: {error!r}") from error


def set_aside(path: Path) -> Path:
    """Rename a corrupt file so that it is out of the way and can still be examined; return its new path."""
    aside = path.with_name(path.name + ".corrupt")
    os.replace(path, aside)
    return aside


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return the optimiser's state as tensors named <parameter index>.<state name>."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors named by `optimizer_tensors` back, each in its parameter's memory format.

    safetensors drops channels_last strides, and a fused optimiser steps differently where strides differ.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        index, state_name = name.split(".", 1)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            tensor = torch.empty_like(parameter).copy_(tensor)
        state.setdefault(int(index), {})[state_name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors renamed to <prefix>/<name>."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors named <prefix>/<name>, renamed to <name>."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _copy_to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Return a contiguous copy on the host: safetensors stores neither strides nor shared storage."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
