"""Numeric settings of a cell: autocast, memory format, TF32, threads."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from .memory import keep_freed_memory

if TYPE_CHECKING:
    from segbench.spec.protocol import Protocol

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a network's forward pass runs; for fp32 it does nothing."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_HALF[precision])


def memory_format(channels_last: bool) -> torch.memory_format:
    """Return the memory format of weights and images."""
    return torch.channels_last if channels_last else torch.contiguous_format


def apply_numeric_settings(protocol: Protocol) -> None:
    """Set what is global to the process: threads, TF32, cuDNN's search for the fastest kernel, how memory is freed."""
    keep_freed_memory()
    if protocol.threads is not None:
        torch.set_num_threads(protocol.threads)
    torch.backends.cuda.matmul.allow_tf32 = protocol.tf32
    torch.backends.cudnn.allow_tf32 = protocol.tf32
    # Training crops have one shape, so the search pays off after the first step.
    torch.backends.cudnn.benchmark = True
