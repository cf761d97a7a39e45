"""The inference speed of a cell's method: the only times of inference that are reported as results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from segbench.errors import CellError
from segbench.registry import load_registry

from .cell_data import common_size, open_data
from .checkpoint import load_tensors
from .components import build_network
from .cost import PeakMemory
from .environment import resolve_device
from .inference import class_scores
from .job import TimingResult
from .latency import inference_row, measure
from .memory import memory_errors_named
from .precision import apply_numeric_settings, memory_format
from .setup import MODEL
from .training_clock import synchronize

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.registry import Registry
    from segbench.spec.protocol import Protocol
    from segbench.store.record import Inference

    from .cell_data import CellData
    from .inference import Network
    from .job import CellJob, Channel


def time_cell(job: CellJob, channel: Channel) -> TimingResult:
    """Time the network of a cell on this device, which nothing else should use meanwhile.

    Images of the evaluated split's most frequent size go in at batch 1 and at the protocol's batch, class scores of the
    same size come out (stage "forward"). The weights are those kept beside the record, if they are; speed does not
    depend on them. A batch that does not fit into memory has no row. The peak is that of all batches that were tried.
    """
    protocol = job.cell.method.protocol
    apply_numeric_settings(protocol)
    device = resolve_device(job.device)
    with memory_errors_named(device):
        registry = load_registry()
        data = open_data(job.cell, registry, device)
        network = trained_network(job, registry, data, device)
    channels, size = data.dataset.channels, common_size(data.packed(protocol.evaluate))
    memory = PeakMemory(device)
    rows: list[Inference] = []
    for batch in sorted({1, protocol.batch_size}):
        channel.emit("stage", name=f"time batches of {batch}")
        try:
            with memory_errors_named(device):
                images = random_images((batch, channels, *size), device, protocol)
                durations = measure(forward_step(network, images, protocol), device_clock(device), protocol.timing)
        except CellError as error:
            if not rows:
                raise
            channel.emit("warning", message=f"batches of {batch} were not timed: {error}")
        else:
            rows.append(inference_row(durations, batch, size, protocol.timing))
    return TimingResult(inference=tuple(rows), inference_peak_bytes=memory.bytes())


def trained_network(job: CellJob, registry: Registry, data: CellData, device: torch.device) -> torch.nn.Module:
    """Build the cell's network in evaluation mode, with the weights it was left with if they were kept."""
    size = job.cell.method.protocol.crop or common_size(data.packed("train"))
    network = build_network(job.cell, registry, data, size, device)
    model = Path(job.folder) / MODEL
    if model.is_file():
        network.load_state_dict(load_tensors(model)[0])
    return network.eval()


def random_images(shape: tuple[int, ...], device: torch.device, protocol: Protocol) -> torch.Tensor:
    """Return the same random images in [-1, 1] every time."""
    images = 2 * torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 1
    return images.to(device, memory_format=memory_format(protocol.channels_last))


def forward_step(network: Network, images: torch.Tensor, protocol: Protocol) -> Callable[[], torch.Tensor]:
    """Return the iteration to be timed, called once so that what it compiles or searches for at first is done."""
    if protocol.compile:
        torch.compiler.reset()  # or the second batch size would run code compiled for any size
        network = torch.compile(network)

    def step() -> torch.Tensor:
        return class_scores(network, images, precision=protocol.precision, window=protocol.window)

    step()
    return step


def device_clock(device: torch.device) -> Callable[[], float]:
    """Return a clock that waits for the device before it tells the seconds."""

    def now() -> float:
        synchronize(device)
        return time.perf_counter()

    return now
