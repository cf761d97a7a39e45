"""Where a worker runs, for a parent process that does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .environment import environment, resolve_device

if TYPE_CHECKING:
    from .job import Channel


def probe(device: str, channel: Channel) -> dict[str, Any]:
    """Return the environment of a run, its "device" the one that auto, cpu, cuda or cuda:N means here.

    Raises SegbenchError for a device that is not there.
    """
    return environment(resolve_device(device), torch.get_num_threads())
