"""One cell from its recipe to its result: train, evaluate, and leave counts, weights and sample pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from segbench.registry import load_registry
from segbench.stats.scores import per_class, scores
from segbench.store.atomic import write_atomically
from segbench.store.counts import write_counts
from segbench.store.record import Cost, Evaluated, Train

from .cell_data import CellData, common_size, open_data
from .checkpoint import save_tensors
from .cost import PeakMemory, count_parameters, flops
from .dataset_description import DATASET, description_of
from .environment import environment, resolve_device
from .job import CellResult
from .memory import memory_errors_named
from .pictures import write_samples
from .precision import apply_numeric_settings
from .setup import MODEL, evaluate_on, prepare_training
from .train import Training, train

if TYPE_CHECKING:
    from segbench.plan.cell import Cell
    from segbench.store.counts import Counts

    from .job import CellJob, Channel

CHECKPOINT = "checkpoint.safetensors"


def run_cell(job: CellJob, channel: Channel) -> CellResult:
    """Run one cell in this process; raise CellError or the plugin's own exception if it fails."""
    apply_numeric_settings(job.cell.method.protocol)
    device = resolve_device(job.device)
    with memory_errors_named(device):
        return _run(job, channel, device)


def _run(job: CellJob, channel: Channel, device: torch.device) -> CellResult:
    cell, folder = job.cell, Path(job.folder)
    where = environment(device, torch.get_num_threads())
    registry = load_registry()
    data = open_data(cell, registry, device)
    training = prepare_training(cell, registry, data, device, job.upstream)
    channel.emit("stage", name="train")
    memory = PeakMemory(device)
    outcome = train(training, folder / CHECKPOINT, job.checkpoint_seconds, channel)
    trained = Train(steps=outcome.steps, seconds=round(outcome.seconds, 3), images_per_second=outcome.images_per_second)
    if not outcome.finished:
        return CellResult(status="interrupted", train=trained, environment=where)
    peak = memory.bytes()
    channel.emit("stage", name="evaluate")
    counts = evaluate_on(cell.method.protocol.evaluate, training.network, cell, data)
    leave_files(folder, training, cell, data, counts)
    total = counts.confusion.sum(axis=0)
    return CellResult(
        status="ok",
        scores=scores(total),
        per_class=per_class(total),
        evaluated=Evaluated(split=counts.split, images=len(counts.ids)),
        train=trained,
        cost=cost_of(training, cell, data, peak),
        environment=where,
    )


def cost_of(training: Training, cell: Cell, data: CellData, train_peak_bytes: int | None) -> Cost:
    """Return what the method costs; the peak of inference is measured later, by the timing node."""
    height, width = common_size(data.resident(cell.method.protocol.evaluate))
    size = (data.dataset.channels, height, width)
    return Cost(
        parameters=count_parameters(training.network, size),
        flops=flops(training.network, size),
        flops_size=(height, width),
        train_peak_bytes=train_peak_bytes,
        inference_peak_bytes=None,
    )


def leave_files(folder: Path, training: Training, cell: Cell, data: CellData, counts: Counts) -> None:
    """Write what lies beside the record, and drop the checkpoint that is no longer needed."""
    protocol = cell.method.protocol
    write_counts(folder, counts)
    write_atomically(folder / DATASET, description_of(data.dataset).model_dump_json(indent=1).encode())
    write_samples(folder / "samples", training.network, data.resident(protocol.evaluate), data.dataset, protocol)
    if protocol.keep.model == "last":
        save_tensors(folder / MODEL, training.network.state_dict(), {"key": cell.key})
    (folder / CHECKPOINT).unlink(missing_ok=True)
