"""The state of a device during timing: clock, temperature, other processes, energy, and the load of the machine.

NVIDIA's management library (NVML) reads CUDA devices. It is reached through nvidia-ml-py, the extra "nvml"; without it,
and where the device does not support a reading, readings are None.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from segbench.store.record import DeviceState, Energy

from .measurement import queue_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from .measurement import Stopwatch


Reading = TypeVar("Reading")

# The counter of energy moves several times a second at best, so a short window would mostly measure when it moves.
ENERGY_SECONDS = 30.0
# The bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h), which slow the clock or let it idle.
THROTTLE_REASONS = {
    0x001: "gpu idle",
    0x002: "applications clocks setting",
    0x004: "sw power cap",
    0x008: "hw slowdown",
    0x010: "sync boost",
    0x020: "sw thermal slowdown",
    0x040: "hw thermal slowdown",
    0x080: "hw power brake slowdown",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability",
}


class Nvml:
    """One device in NVML; `library` is the module pynvml, `handle` its handle of the device."""

    def __init__(self, library: Any, handle: Any) -> None:
        self._library, self._handle = library, handle

    def clock_mhz(self) -> float | None:
        """Return the clock of the streaming multiprocessors now."""
        return self._read(lambda nvml, device: float(nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM)))

    def temperature_celsius(self) -> float | None:
        """Return the temperature of the chip now."""
        return self._read(lambda nvml, device: float(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)))

    def throttle_reasons(self) -> list[str] | None:
        """Return the names of the reasons why the clock is low now."""
        bits = self._read(lambda nvml, device: int(nvml.nvmlDeviceGetCurrentClocksEventReasons(device)))
        if bits is None:  # as drivers and libraries before 2023 call it
            bits = self._read(lambda nvml, device: int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device)))
        return None if bits is None else [name for bit, name in THROTTLE_REASONS.items() if bits & bit]

    def processes(self) -> int | None:
        """Return how many processes compute on the device."""
        return self._read(lambda nvml, device: len(nvml.nvmlDeviceGetComputeRunningProcesses(device)))

    def joules(self) -> float | None:
        """Return the energy used since the driver was loaded; None before the Volta generation."""
        return self._read(lambda nvml, device: nvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1000)

    def _read(self, ask: Callable[[Any, Any], Reading]) -> Reading | None:
        try:
            return ask(self._library, self._handle)
        except (self._library.NVMLError, AttributeError):  # it is not supported, not permitted, or gone
            return None


def open_nvml(device: torch.device) -> Nvml | None:
    """Return what NVML knows of a device; None for the CPU and where NVML is not installed or does not know it."""
    if device.type != "cuda":
        return None
    try:
        library = import_module("pynvml")
    except ImportError:
        return None
    # By its UUID: NVML counts all devices, torch only those in CUDA_VISIBLE_DEVICES.
    return find_device(library, f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def find_device(library: Any, uuid: str) -> Nvml | None:
    """Return the device of a UUID; None where NVML does not work or does not know it."""
    try:
        library.nvmlInit()
        return Nvml(library, library.nvmlDeviceGetHandleByUUID(uuid))
    except library.NVMLError:
        return None


def device_state(nvml: Nvml | None, methods: int) -> DeviceState:
    """Return the state of the machine, and of a device if NVML knows it; `methods` is how many methods share it.

    Processes are counted, not named: inside a container NVML knows them by other numbers.
    """
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    if nvml is None:
        return DeviceState(load=load)
    computing = nvml.processes()
    return DeviceState(
        clock_mhz=nvml.clock_mhz(),
        temperature_celsius=nvml.temperature_celsius(),
        throttle_reasons=nvml.throttle_reasons(),
        other_processes=None if computing is None else max(0, computing - methods),
        load=load,
    )


def measure_energy(stopwatch: Stopwatch, batch: int, joules: Callable[[], float | None]) -> Energy | None:
    """Return the energy of an image over a window of at least 30 s of queued iterations.

    `joules` reads the counter, which counts all that the device uses. None where it is not read, where it stands still,
    and where nothing is queued.
    """
    expected = stopwatch.time_one()
    before = joules()
    block = None if before is None else queue_block(stopwatch, ENERGY_SECONDS, expected)
    after = joules()
    if before is None or after is None or block is None or after <= before:
        return None
    images = batch * block.iterations
    return Energy(batch=batch, joules_per_image=(after - before) / images, seconds=block.seconds)
