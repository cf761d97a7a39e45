"""The inference speed of a cell's method: the only times of inference that are reported as results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from segbench.errors import CellError
from segbench.registry import load_registry

from .cell_data import open_data
from .cell_files import MODEL
from .checkpoint import load_tensors
from .components import build_network, mapping_of
from .cost import PeakMemory
from .environment import resolve_device
from .inference import class_scores
from .job import TimingResult
from .latency import inference_row, measure
from .mapping import inference_inputs
from .memory import memory_errors_named
from .precision import apply_numeric_settings, autocast, memory_format
from .scoring import as_segmenter, is_scored
from .setup import inference_size, training_size
from .training_clock import synchronize
from .upstream import load_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segbench.registry import Registry
    from segbench.spec.protocol import Protocol
    from segbench.store.record import Inference

    from .cell_data import CellData
    from .job import CellJob, Channel


def time_cell(job: CellJob, channel: Channel) -> TimingResult:
    """Time the network of a cell on this device, which nothing else should use meanwhile.

    Images of the evaluated split's most frequent size go in at batch 1 and at the protocol's batch, class scores of the
    same size come out (stage "forward"). A generator of images is given labels or noise instead, at the size that it is
    trained for. The weights are those kept beside the record, if they are; speed does not
    depend on them. A batch that does not fit into memory has no row. The peak is that of all batches that were tried.
    """
    protocol = job.cell.method.protocol
    apply_numeric_settings(protocol)
    device = resolve_device(job.device)
    with memory_errors_named(device):
        registry = load_registry()
        data = open_data(job.cell, registry, device)
        mapping = mapping_of(job.cell, data)
        network = trained_network(job, registry, data, device)
    size = inference_size(job.cell, data, mapping)
    memory = PeakMemory(device)
    rows: list[Inference] = []
    for batch in sorted({1, protocol.batch_size}):
        channel.emit("stage", name=f"time batches of {batch}")
        try:
            with memory_errors_named(device):
                inputs = inference_inputs(mapping, data.dataset.channels, batch, size, device)
                forward = segmenting_step if is_scored(mapping) else generating_step
                durations = measure(forward(network, inputs, protocol), device_clock(device), protocol.timing)
        except CellError as error:
            if not rows:
                raise
            channel.emit("warning", message=f"batches of {batch} were not timed: {error}")
        else:
            rows.append(inference_row(durations, batch, size, protocol.timing))
    return TimingResult(inference=tuple(rows), inference_peak_bytes=memory.bytes())


def trained_network(job: CellJob, registry: Registry, data: CellData, device: torch.device) -> torch.nn.Module:
    """Build what the cell is evaluated with, in evaluation mode, with its weights if they were kept."""
    cell = job.cell
    network = build_network(cell, registry, data, training_size(cell, data), device)
    model = Path(job.folder) / MODEL
    if model.is_file():
        network.load_state_dict(load_tensors(model)[0])
    base = load_segmenter(job.upstream["refines"], device) if cell.method.refines else None
    return as_segmenter(network, mapping_of(cell, data), base).eval()


def segmenting_step(
    network: torch.nn.Module, inputs: Sequence[torch.Tensor], protocol: Protocol
) -> Callable[[], torch.Tensor]:
    """Return the iteration to be timed, called once so that what it compiles or searches for at first is done."""
    forward = compiled_anew(network, protocol)
    images = inputs[0].to(memory_format=memory_format(protocol.channels_last))

    def step() -> torch.Tensor:
        return class_scores(forward, images, precision=protocol.precision, window=protocol.window)

    step()
    return step


def generating_step(
    network: torch.nn.Module, inputs: Sequence[torch.Tensor], protocol: Protocol
) -> Callable[[], torch.Tensor]:
    """Return the iteration to be timed of a generator of images, called once."""
    forward = compiled_anew(network, protocol)

    def step() -> torch.Tensor:
        with torch.inference_mode(), autocast(inputs[0].device, protocol.precision):
            made: torch.Tensor = forward(*inputs)
            return made.float()

    step()
    return step


def compiled_anew(network: torch.nn.Module, protocol: Protocol) -> Callable[..., torch.Tensor]:
    """Return the network, compiled where the protocol asks for it, without code of another batch size."""
    if not protocol.compile:
        return network
    torch.compiler.reset()  # or the second batch size would run code compiled for any size
    return torch.compile(network)


def device_clock(device: torch.device) -> Callable[[], float]:
    """Return a clock that waits for the device before it tells the seconds."""

    def now() -> float:
        synchronize(device)
        return time.perf_counter()

    return now
