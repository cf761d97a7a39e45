"""Checkpoints and weights: safetensors files that are replaced atomically and never unpickle code."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open

from segbench.checksum import check_seal
from segbench.errors import RecordError
from segbench.store.folder import how_to_redo
from segbench.store.tensor_file import StoredTensor, write_tensor_file
from segbench.weights import misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


Tensors = dict[str, torch.Tensor]

_GROUP = "group"  # begins the name of the steps that an optimiser counts once for a group of parameters

# The names of types in safetensors files.
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON state as one file, replacing an older one atomically; raise RecordError if it cannot."""
    # Those with larger elements first, so that each is aligned in the file.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    if other := [f"{name} is {one.dtype}" for name, one in ordered if one.dtype not in _TYPES]:
        raise RecordError(f"{path} cannot hold tensors of this type: {other[0]}")
    stored = [StoredTensor(name, _TYPES[one.dtype], one.shape, one.nbytes) for name, one in ordered]
    write_tensor_file(path, stored, (_bytes_of(one) for _, one in ordered), {"state": json.dumps(state)})


def load_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what `save_tensors` wrote; raise RecordError for a file that is missing, damaged or something else."""
    try:
        check_seal(path)
        with safe_open(path, framework="pt") as file:
            state = from_json((file.metadata() or {})["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise RecordError(f"{path} is not a readable checkpoint: {error}") from error


def load_kept(path: Path) -> Tensors:
    """Read the weights that a finished cell kept; RecordError says what to do if they are missing or damaged."""
    try:
        return load_tensors(path)[0]
    except RecordError as error:
        raise RecordError(f"{error}; {how_to_redo(path.parent)}") from error


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Put the weights that a finished cell kept into its network; raise RecordError as `load_kept`, or if none fit."""
    weights = load_kept(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        cause = misfit(weights, network.state_dict()) or error
        raise RecordError(f"{path} does not fit the network that the plugin builds now: {cause}") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return the optimiser's state as tensors named <parameter index>.<state name>, and the steps that groups count."""
    of_parameters = {
        f"{index}.{name}": _as_tensor(value)
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }
    groups = enumerate(optimizer.param_groups)
    return of_parameters | {f"{_GROUP}{place}": _as_tensor(group["step"]) for place, group in groups if "step" in group}


def _as_tensor(value: Any) -> torch.Tensor:
    """Return a value of an optimiser's state as a tensor; numbers as wide as Python has them, see `_as_value`."""
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def _as_value(tensor: torch.Tensor) -> Any:
    """Return a stored value as an optimiser had it: what torch counts in tensors is float32."""
    return tensor.item() if tensor.ndim == 0 and tensor.dtype in (torch.int64, torch.float64) else tensor


def expected_optimizer_tensors(optimizer: torch.optim.Optimizer, names: Iterable[str]) -> Tensors:
    """Return tensors of the names, shapes and types that `optimizer_tensors` gives after a step.

    They are of those parameters whose index `names` mention: one without a gradient has no state.
    """
    groups = [(place, group, one) for place, group in enumerate(optimizer.param_groups) for one in group["params"]]
    mentioned = {index for name in names if (index := name.partition(".")[0]).isdecimal()}
    expected: Tensors = {}
    for index in mentioned:
        if int(index) < len(groups):
            place, group, parameter = groups[int(index)]
            for name, tensor in _state_after_a_step(optimizer, group, parameter).items():
                expected[f"{_GROUP}{place}" if name == _GROUP else f"{index}.{name}"] = tensor
    return expected


def _state_after_a_step(optimizer: torch.optim.Optimizer, group: Mapping[str, Any], parameter: torch.Tensor) -> Tensors:
    """Return the forms of the state that an optimiser has of a parameter, and of its group, after a step."""
    twin = torch.zeros_like(parameter, requires_grad=False)
    twin.grad = torch.zeros_like(parameter)
    probe = copy.copy(optimizer)
    probe.state = defaultdict(dict)
    probe.param_groups = [{**group, "params": [twin]}]
    probe.step()
    state = {name: _as_tensor(value) for name, value in probe.state[twin].items()}
    if "step" in probe.param_groups[0]:
        state[_GROUP] = _as_tensor(probe.param_groups[0]["step"])
    return {name: tensor.to("meta") for name, tensor in state.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put what `optimizer_tensors` returned back, tensors of a parameter's shape in its memory format.

    safetensors drops channels_last strides, and a fused optimiser steps differently where strides differ.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups = optimizer.state_dict()["param_groups"]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, _, state_name = name.partition(".")
        if not state_name:
            groups[int(index.removeprefix(_GROUP))]["step"] = _as_value(tensor)
            continue
        parameter = parameters[int(index)]
        if tensor.ndim and tensor.shape == parameter.shape:
            tensor = torch.empty_like(parameter).copy_(tensor)
        state.setdefault(int(index), {})[state_name] = _as_value(tensor)
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors renamed to <prefix>/<name>."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the tensors named <prefix>/<name>, renamed to <name>."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _bytes_of(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """Return the bytes of a tensor in row-major order: safetensors stores neither strides nor shared storage."""
    on_host = tensor.detach().to("cpu").contiguous()
    return on_host.reshape(-1).view(torch.uint8).numpy()
