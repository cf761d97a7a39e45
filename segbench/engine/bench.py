"""A cell's network on its device, ready to be timed at any batch and in any stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from segbench.registry import load_registry

from .cell_data import common_size, open_data
from .cell_files import MODEL
from .checkpoint import load_tensors
from .components import build_network, mapping_of
from .environment import resolve_device
from .mapping import inference_inputs
from .precision import apply_numeric_settings
from .scoring import as_segmenter, is_scored
from .setup import inference_size, training_size
from .stages import ImageReader, forward_step, labels_step, loading_step, network_alone
from .stopwatch import stopwatch_of
from .upstream import load_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.registry import Registry
    from segbench.store.record import Stage

    from .cell_data import CellData
    from .job import TimingJob
    from .latency import Stopwatch
    from .stages import Step


class Bench:
    """What a cell is evaluated with, and inputs of fixed shapes for it.

    Images are of the evaluated split's most frequent size, or of that which the job states. A generator of images is
    given labels or noise instead, at the size that it is trained for, and has the stage "forward" alone. The weights
    are those kept beside the record, if they are; speed does not depend on them.
    """

    def __init__(self, job: TimingJob) -> None:
        self.protocol = job.cell.method.protocol
        apply_numeric_settings(self.protocol)
        self.device = resolve_device(job.device)
        registry = load_registry()
        self._data = open_data(job.cell, registry, self.device)
        self._mapping = mapping_of(job.cell, self._data)
        self._network = trained_network(job, registry, self._data, self.device)
        self.size = job.size or inference_size(job.cell, self._data, self._mapping)
        self.stages: tuple[Stage, ...] = ("forward",)
        if is_scored(self._mapping):
            self.stages = ("forward", "labels") if job.size else ("forward", "labels", "loading")
        self._batch = 0
        self._compiled: dict[str, Callable[..., torch.Tensor]] = {}

    def stopwatch(self, stage: Stage, batch: int) -> Stopwatch:
        """Return the stopwatch for a stage at a batch size, with all that is done only once behind it."""
        if batch != self._batch:
            self.clear()
            self._batch = batch
        return stopwatch_of(self._step(stage, batch), self.device)

    def clear(self) -> None:
        """Forget what belongs to one batch size: compiled code and memory kept for reuse."""
        if self._compiled:
            torch.compiler.reset()  # or the next batch size would run code compiled for any size
            self._compiled.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _step(self, stage: Stage, batch: int) -> Step:
        if stage == "loading":
            return loading_step(self._whole(), self._images(), batch, self.protocol)
        inputs = inference_inputs(self._mapping, self._data.dataset.channels, batch, self.size, self.device)
        if stage == "labels":
            return labels_step(self._whole(), inputs[0], self.protocol)
        return forward_step(self._ready("alone", network_alone(self._network)), inputs, self.protocol)

    def _whole(self) -> Callable[..., torch.Tensor]:
        return self._ready("whole", self._network)

    def _ready(self, name: str, network: torch.nn.Module) -> Callable[..., torch.Tensor]:
        """Return a network, compiled once a batch size where the protocol asks for it."""
        if not self.protocol.compile:
            return network
        if name not in self._compiled:
            self._compiled[name] = torch.compile(network)
        return self._compiled[name]

    def _images(self) -> ImageReader:
        split = self.protocol.evaluate
        packed = self._data.packed(split)
        size = common_size(packed)
        places = [place for place, found in enumerate(packed.sizes) if tuple(found) == size]
        dataset = self._data.dataset
        return ImageReader(dataset.splits[split], places, dataset.channels, self.device)


def trained_network(job: TimingJob, registry: Registry, data: CellData, device: torch.device) -> torch.nn.Module:
    """Build what the cell is evaluated with, in evaluation mode, with its weights if they were kept."""
    cell = job.cell
    network = build_network(cell, registry, data, training_size(cell, data), device)
    model = Path(job.folder) / MODEL
    if model.is_file():
        network.load_state_dict(load_tensors(model)[0])
    base = load_segmenter(job.upstream["refines"], device) if cell.method.refines else None
    return as_segmenter(network, mapping_of(cell, data), base).eval()
