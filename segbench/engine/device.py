"""The device of a cell, the devices of a machine, and the environment that is recorded with every result."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import torch

from segbench.errors import SegbenchError
from segbench.plan.machine import CPU_INFO, cpu_flags, source_commit, usable_cores
from segbench.plan.warnings import NATIVE_BF16

if TYPE_CHECKING:
    from .job import Channel


_BF16_CAPABILITY = (8, 0)  # CUDA compute capability of the first devices that multiply bfloat16 numbers


def resolve_device(name: str) -> torch.device:
    """Return the device named "auto" (a CUDA device if there is one), "cpu", "cuda" (the first one) or "cuda:N".

    Raises SegbenchError for another name, and for a CUDA device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    kind, colon, index = name.partition(":")
    if kind != "cuda" or (colon and not (index.isascii() and index.isdigit())):
        raise SegbenchError(f"unknown device {name!r}; allowed are auto, cpu, cuda and cuda:N, such as cuda:0")
    return _cuda_device(name, int(index or 0))


def enter_device(name: str, rank: int = 0, processes: int = 1) -> torch.device:
    """Return what `resolve_device` does, or the share of one of several processes, and make it the current device.

    What names no other CUDA device, such as a plugin's `.cuda()` and the events of a clock, is then on this one.
    """
    device = share_devices(resolve_device(name), rank, processes)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _cuda_device(name: str, index: int) -> torch.device:
    if torch.cuda._is_in_bad_fork():
        raise SegbenchError(
            f"device {name!r} cannot be used: a library that this benchmark's plugins need has started CUDA on being "
            "imported, before this process was forked. Leave its plugin out (--disable), or use --device cpu"
        )
    if not torch.cuda.is_available():
        raise SegbenchError(f"device {name!r} is not available: {_why_no_cuda()}; use --device cpu or auto")
    count = torch.cuda.device_count()
    if index >= count:
        raise SegbenchError(f"device {name!r} is not available; choose one of cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", index)


def share_devices(first: torch.device, rank: int, processes: int) -> torch.device:
    """Return the device of one of several processes: the CPU, or one of as many CUDA devices from the first one on.

    Raises SegbenchError where there are too few.
    """
    if first.type == "cpu" or processes == 1:
        return first
    begin, there = first.index or 0, torch.cuda.device_count()
    if begin + processes > there:
        raise SegbenchError(
            f"protocol.processes is {processes}, which takes the devices cuda:{begin} to cuda:{begin + processes - 1}, "
            f"but the last one here is cuda:{there - 1}; set it to at most {there - begin}"
        )
    return torch.device("cuda", begin + rank)


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return f"torch {torch.__version__} (CUDA {torch.version.cuda}) finds no usable device"


def environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Return the facts of machine and software that a result depends on, ready for JSON.

    `machine` is the same for all runs on one machine and kind of device. `memory` says what peak memory means there:
    bytes "allocated on device" by torch, or "resident" bytes of the process. `bf16` tells whether the device multiplies
    bfloat16 numbers in hardware. `commit` is that of segbench, null where nothing tells. `started` is the current time
    (UTC). Of a CUDA device `uuid` tells it from others of its model, whichever number it has for a process.
    """
    uuid = {"uuid": _uuid(device.index)} if device.type == "cuda" else {}
    host, cpu, name = platform.node(), cpu_name(), device_name(device)
    return {
        "device": str(device),
        "device_name": name,
        "cpu": cpu,
        "threads": threads,
        "cores": usable_cores(),
        "torch": str(torch.__version__),  # its own class would make whoever receives it import torch
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": host,
        "machine": hashlib.sha256("\n".join((host, cpu, name)).encode()).hexdigest()[:12],
        "segbench": version("segbench"),
        "commit": source_commit(),
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
        "memory": "allocated on device" if device.type == "cuda" else "resident",
        "bf16": bf16_support(device),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **uuid,
    }


def probe(device: str, channel: Channel) -> dict[str, Any]:
    """Return the environment of a run, for a parent process that does not import torch.

    Its "device" is the one that auto, cpu, cuda or cuda:N means here. Of a GPU, "gpus" are the UUIDs of it and of those
    behind it, which several processes take, by their names. Raises SegbenchError as `resolve_device` does.
    """
    first = resolve_device(device)
    found = environment(first, torch.get_num_threads())
    if first.type == "cuda":
        found["gpus"] = {f"cuda:{index}": _uuid(index) for index in range(first.index, torch.cuda.device_count())}
    return found


def list_devices() -> list[dict[str, Any]]:
    """Try the CPU and every CUDA device; return name, bf16 support, and the error of one that cannot compute."""
    found = [torch.device("cpu"), *(torch.device("cuda", index) for index in range(torch.cuda.device_count()))]
    return [_describe(device) for device in found]


def _describe(device: torch.device) -> dict[str, Any]:
    try:
        torch.ones(2, 2, device=device).sum().item()
        name, bf16 = device_name(device), bf16_support(device)
    except RuntimeError as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return {"device": str(device), "name": None, "bf16": None, "error": first_line}
    return {"device": str(device), "name": name, "bf16": bf16, "error": None}


def _uuid(index: int) -> str:
    return str(torch.cuda.get_device_properties(index).uuid)


def device_name(device: torch.device) -> str:
    """Return the model of a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def bf16_support(device: torch.device) -> Literal["native", "emulated", "unknown"]:
    """Tell whether a device multiplies bfloat16 numbers in hardware; "unknown" where that cannot be read."""
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= _BF16_CAPABILITY
    elif (flags := cpu_flags()) is None:
        return "unknown"
    else:
        native = not NATIVE_BF16.isdisjoint(flags)
    return "native" if native else "emulated"


def cpu_name() -> str:
    """Return the CPU's model."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(errors="replace").splitlines():
            name, _, model = line.partition(":")
            if name.strip() == "model name":
                return model.strip()
    return platform.processor() or platform.machine()
