"""What a cell takes of its machine while it runs, by which `--jobs auto` decides how many run at once.

On a CUDA device it is what the whole device holds and does, so what others do there at the same time counts too.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from .model.cost import resident_peak

if TYPE_CHECKING:
    from .job import Channel


class UsageMeter:
    """A channel that looks at how busy a CUDA device is whenever training tells how far it is, twice a second."""

    def __init__(self, channel: Channel, device: torch.device) -> None:
        self._channel, self._device = channel, device
        self._looks: list[float] = []

    def emit(self, event: str, **fields: Any) -> None:
        """Report an event; see `Channel.emit`."""
        if event == "step" and (busy := _utilization(self._device)) is not None:
            self._looks.append(busy)
        self._channel.emit(event, **fields)

    def stop_requested(self) -> bool:
        """Tell whether the parent asks for an early end."""
        return self._channel.stop_requested()

    def report(self) -> None:
        """Report what the cell has taken, at its end: bytes at the peak, and the busy share of the device's time.

        None is what is not known; a device that was never seen busy does not tell.
        """
        held, total = _device_bytes(self._device)
        self._channel.emit(
            "usage",
            host_bytes=resident_peak(),
            device_bytes=held,
            device_total_bytes=total,
            busy=fmean(self._looks or [0.0]) or None,
        )


def _utilization(device: torch.device) -> float | None:
    """Return the share of the last moment, up to a second, in which a CUDA device computed; None if not known."""
    if device.type != "cuda":
        return None
    try:
        return torch.cuda.utilization(device) / 100
    except Exception:  # of NVML: it is not installed, or it does not know the device or the number
        return None


def _device_bytes(device: torch.device) -> tuple[int | None, int | None]:
    """Return the bytes that a CUDA device held when torch held most, and all that it has; None on the CPU."""
    if device.type != "cuda":
        return None, None
    free, total = torch.cuda.mem_get_info(device)
    given_back = torch.cuda.max_memory_reserved(device) - torch.cuda.memory_reserved(device)
    return total - free + given_back, total
