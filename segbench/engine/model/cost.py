"""What a method costs: parameters, floating-point operations and peak memory."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn
    from torch.autograd.graph import Node


_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # written to clear_refs, it resets the peak of resident memory on Linux


def count_parameters(network: nn.Module, inputs: Sequence[torch.Tensor]) -> int:
    """Return the number of parameters that inference needs for what the network takes, on its device.

    Those that several layers share count once. Those that do not lead to the output are left out: auxiliary heads,
    which only training uses, and stages of an encoder that the decoder takes nothing from. Frozen parameters always
    count. Leaves the network in evaluation mode.
    """
    network.eval()
    with torch.enable_grad():
        used = _parameters_behind(network(*inputs))
    return sum(
        parameter.numel() for parameter in network.parameters() if not parameter.requires_grad or id(parameter) in used
    )


def _parameters_behind(output: torch.Tensor) -> set[int]:
    """Return the ids of the parameters that gradients of the output would reach."""
    waiting = [output.grad_fn]
    seen: set[Node] = set()
    found: set[int] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # where gradients of a leaf are added up
            found.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return found


def flops(network: nn.Module, inputs: Sequence[torch.Tensor]) -> int | None:
    """Return the floating-point operations of one forward pass over what the network takes, on its device.

    Counted by torch's own counter: convolutions, matrix products and attention, one multiply-add being two operations;
    what a network pads is counted too. None, never 0, where the counter knows none of the network's operations or
    cannot follow it. Leaves the network in evaluation mode.
    """
    network.eval()
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            network(*inputs)
    except Exception:  # a plugin's network may do what cannot be traced; then its cost is unknown and no failure
        return None
    return counter.get_total_flops() or None


class PeakMemory:
    """The peak of memory in use since this object was made.

    On a CUDA device it is what torch allocated there; on the CPU it is the resident memory of this process, code and
    libraries included, from which nothing can be left out. Where the system keeps no peak that can be reset, it is the
    peak of the process's whole life.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._before = device, 0
        if device.type == "cuda":
            torch.cuda.init()  # type: ignore[no-untyped-call]  # no peak is kept before
            self.forget()
        else:
            _reset_resident_peak()

    def forget(self) -> None:
        """Begin anew on a CUDA device, as after a warm-up: searches for kernels take memory that the others do not."""
        self._before = 0
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is allocated on a CUDA device inside the block; what stays there counts as if always held."""
        if self._device.type != "cuda":
            yield
            return
        before, held = self.bytes() or 0, torch.cuda.memory_allocated(self._device)
        yield
        self.forget()
        self._before = before + torch.cuda.memory_allocated(self._device) - held

    def bytes(self) -> int | None:
        """Return the peak so far, or None where the system does not report it."""
        if self._device.type == "cuda":
            return max(self._before, torch.cuda.max_memory_allocated(self._device))
        return resident_peak()

    def reserved_bytes(self) -> int | None:
        """Return the peak of what torch held on a CUDA device, what it kept for reuse included; None on the CPU."""
        return torch.cuda.max_memory_reserved(self._device) if self._device.type == "cuda" else None


def _reset_resident_peak() -> None:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return


def resident_peak() -> int | None:
    """Return the peak of resident memory of this process, since it was reset last; None if not known."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return _resident_peak_of_life()
    kibibytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kibibytes is None else int(kibibytes) * 1024


def _resident_peak_of_life() -> int | None:
    """Return the peak that other Unix systems report; macOS counts in bytes, the others in KiB."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
