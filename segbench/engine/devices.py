"""The devices that torch can compute on, each tried."""

from __future__ import annotations

from typing import Any

import torch

from .environment import bf16_support, device_name


def devices() -> list[dict[str, Any]]:
    """Return the CPU and every CUDA device: name, bf16 support, and the error if it cannot compute."""
    found = [torch.device("cpu"), *(torch.device("cuda", index) for index in range(torch.cuda.device_count()))]
    return [_described(device) for device in found]


def _described(device: torch.device) -> dict[str, Any]:
    try:
        torch.ones(2, 2, device=device).sum().item()
        name, bf16 = device_name(device), bf16_support(device)
    except RuntimeError as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return {"device": str(device), "name": None, "bf16": None, "error": first_line}
    return {"device": str(device), "name": name, "bf16": bf16, "error": None}
