"""One cell from its recipe to its result: train, evaluate, and leave counts, weights and sample pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from segbench.plan.subset import Subset
from segbench.registry import load_registry
from segbench.stats.passports import definitions
from segbench.stats.scores import per_class, scores
from segbench.store.atomic import write_atomically
from segbench.store.counts import write_counts
from segbench.store.record import Cost, Evaluated, Train

from .adversary import score_map_of
from .cell_data import open_data
from .cell_files import CHECKPOINT, CRITIC, MODEL, PROBABILITIES
from .checkpoint import save_tensors
from .cost import PeakMemory, count_parameters, flops
from .dataset_description import DATASET, description_of
from .environment import environment, resolve_device
from .generated import generation_on, write_grid
from .held_out import leave_predictions
from .job import CellResult
from .mapping import inference_inputs
from .memory import memory_errors_named
from .network import Refined
from .pictures import write_samples
from .precision import apply_numeric_settings
from .refinement import refinement_on
from .scoring import as_segmenter, evaluate_on, is_scored
from .setup import inference_size, prepare_training
from .train import Outcome, Training, train
from .upstream import load_upstream

if TYPE_CHECKING:
    from segbench.plan.cell import Cell

    from .cell_data import CellData
    from .job import CellJob, Channel


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
    upstream = load_upstream(cell, job.upstream, data, device)
    training = prepare_training(cell, registry, data, device, upstream, folder)
    memory = PeakMemory(device)
    outcome = train_if_trained(training, job, channel)
    trained = Train(
        steps=outcome.steps,
        seconds=round(outcome.seconds, 3),
        images_per_second=outcome.images_per_second,
        shares=outcome.shares,
        seconds_to_best=outcome.seconds_to_best,
    )
    if not outcome.finished:
        return CellResult(status="interrupted", train=trained, environment=where)
    peak = memory.bytes()
    channel.emit("stage", name="evaluate")
    segmenter = as_segmenter(training.network, training.mapping, upstream.base)
    measured = scored if is_scored(training.mapping) else compared
    result = CellResult(
        status="ok",
        train=trained,
        cost=cost_of(segmenter, training, cell, data, peak),
        health=outcome.health,
        provenance=training.network.provenance,
        environment=where,
        **measured(segmenter, training, cell, data, folder),
    )
    leave_files(folder, training, cell, data)
    return result


def train_if_trained(training: Training, job: CellJob, channel: Channel) -> Outcome:
    """Train what has something to learn from; a classical refiner has not."""
    if not job.cell.method.is_trained:
        return Outcome(finished=True, steps=0, seconds=0.0, images_per_second=None)
    channel.emit("stage", name="train")
    return train(training, Path(job.folder) / CHECKPOINT, job.checkpoint_seconds, channel)


def scored(segmenter: torch.nn.Module, training: Training, cell: Cell, data: CellData, folder: Path) -> dict[str, Any]:
    """Score a segmenter; return what the record tells of it, and leave counts, pictures and predictions of a fold."""
    protocol = cell.method.protocol
    counts = evaluate_on(protocol.evaluate, segmenter, cell, data)
    write_counts(folder, counts)
    split = data.resident(protocol.evaluate)
    adversary = training.adversary
    write_samples(
        folder / "samples",
        segmenter,
        split,
        data.dataset,
        protocol,
        score_map=None if adversary is None else score_map_of(adversary),
        score_boundary=None if adversary is None else adversary.boundary,
    )
    if Subset.parse(cell.subset).is_fold:
        leave_predictions(folder / PROBABILITIES, segmenter, cell, data)
    found = scores(counts)
    refinement = None
    if isinstance(segmenter, Refined):
        refinement = refinement_on(split, segmenter, protocol, data.dataset.ignore_index)
    return {
        "scores": found,
        "per_class": per_class(counts),
        "definitions": definitions(found),
        "evaluated": Evaluated(split=counts.split, images=len(counts.ids), classes=list(data.dataset.classes)),
        "refinement": refinement,
    }


def compared(
    generator: torch.nn.Module, training: Training, cell: Cell, data: CellData, folder: Path
) -> dict[str, Any]:
    """Compare generated images with real ones; return what the record tells of them, and leave a sample grid."""
    write_grid(folder / "samples" / "last.png", generator, cell, data, training.mapping)
    generation = generation_on(generator, cell, data, training.mapping)
    return {
        "generation": generation,
        "evaluated": Evaluated(split=cell.method.protocol.evaluate, images=generation.images),
    }


def cost_of(
    network: torch.nn.Module, training: Training, cell: Cell, data: CellData, train_peak_bytes: int | None
) -> Cost:
    """Return what the method costs; the peak of inference is measured later, by the timing node."""
    size = inference_size(cell, data, training.mapping)
    inputs = inference_inputs(training.mapping, data.dataset.channels, 1, size, training.device)
    return Cost(
        parameters=count_parameters(network, inputs),
        flops=flops(network, inputs),
        flops_size=size,
        train_peak_bytes=train_peak_bytes,
        inference_peak_bytes=None,
    )


def leave_files(folder: Path, training: Training, cell: Cell, data: CellData) -> None:
    """Write what a finished cell needs to be used again, and drop the checkpoint that is no longer needed."""
    write_atomically(folder / DATASET, description_of(data.dataset).model_dump_json(indent=1).encode())
    if cell.method.protocol.keep.model == "last":
        save_tensors(folder / MODEL, training.network.state_dict(), {"key": cell.key})
        if training.adversary is not None:
            save_tensors(folder / CRITIC, training.adversary.critic.state_dict(), {"key": cell.key})
    (folder / CHECKPOINT).unlink(missing_ok=True)
