"""Run one cell: train, evaluate, and write counts, weights and sample pictures.

`preflight` comes before that: it builds the method of a cell and takes one step, so that a mistake shows in seconds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from segbench.config.protocol import Budget
from segbench.engine.data.batches import normalise
from segbench.engine.data.dataset import open_data
from segbench.engine.data.samples import clusters_of
from segbench.engine.data.subset import split_places
from segbench.engine.evaluation.evaluate import evaluate, measure_refinement
from segbench.engine.evaluation.inference import see_views
from segbench.engine.generation.generated import score_generator, write_grid, write_nearest
from segbench.engine.model.build import as_segmenter
from segbench.engine.model.checkpoint import save_tensors
from segbench.engine.model.cost import PeakMemory, count_parameters, flops
from segbench.engine.model.mapping import inference_inputs
from segbench.engine.model.network import Refined
from segbench.engine.pictures.samples import write_samples
from segbench.engine.training.loop import Outcome, Training, train
from segbench.engine.training.setup import inference_size, prepare_training
from segbench.engine.training.upstream import load_upstream, make_stand_ins, write_fold_predictions
from segbench.errors import SpecError
from segbench.plan.cell import Subset
from segbench.registry import load_registry
from segbench.stats.definitions import definitions, definitions_resized
from segbench.stats.scores import per_class, scores
from segbench.store.atomic import write_atomically
from segbench.store.counts import write_counts
from segbench.store.description import DATASET, description_of
from segbench.store.folder import CHECKPOINT
from segbench.store.json_file import sealed_json
from segbench.store.pictures import LAST_GRID, NEAREST_GRID, SAMPLES
from segbench.store.record import Cost, Evaluated, Train

from .device import enter_device, environment
from .job import ADVERSARIAL_WEIGHTS, DISCRIMINATOR, MODEL, PROBABILITIES, CellResult
from .numerics import (
    apply_numeric_settings,
    autocast,
    memory_format,
    name_device_errors,
    tell_of_no_fixed_order,
    wait_for_each_kernel,
)
from .ranks import join, name_lost_processes
from .usage import UsageMeter

if TYPE_CHECKING:
    from segbench.config.protocol import TrainingProtocol
    from segbench.config.recipe import Method
    from segbench.engine.data.dataset import CellData
    from segbench.plan.cell import Cell
    from segbench.store.record import Scores

    from .job import CellJob, Channel


def run_cell(job: CellJob, channel: Channel) -> CellResult:
    """Run one cell in this process; raise CellError or the plugin's own exception if it fails.

    Of several processes that train the cell the first one writes all files and returns the result.
    """
    apply_numeric_settings(job.cell.method.protocol)
    device = enter_device(job.device, job.rank, job.processes)
    with name_device_errors(device), name_lost_processes(), tell_of_no_fixed_order(channel):
        return _run(job, channel, device)


def _run(job: CellJob, channel: Channel, device: torch.device) -> CellResult:
    cell, folder = job.cell, Path(job.folder)
    facts = environment(device, torch.get_num_threads())
    ranks = join(job.rank, job.processes, job.meeting, device)
    registry = load_registry()
    data = open_data(cell, registry, device, job.share)
    upstream = load_upstream(cell, job.upstream, data, device)
    training = prepare_training(cell, registry, data, device, upstream, folder, ranks)
    meter = UsageMeter(channel, device)
    outcome = train_method(training, job, meter)
    if not outcome.finished:
        return CellResult(status="interrupted", train=describe_training(outcome, training), environment=facts)
    peaks = ranks.largest(outcome.peak_bytes), ranks.largest(outcome.reserved_bytes)
    outcome = replace(outcome, peak_bytes=peaks[0], reserved_bytes=peaks[1])
    channel.emit("stage", name="evaluate")
    segmenter = as_segmenter(training.network, training.mapping, upstream.base)
    measure = score_segmenter if training.mapping.predicts_labels else compare_images
    cost = measure_cost(segmenter, training, cell, data, outcome) if ranks.leads else None
    measured = measure(segmenter, training, cell, data, folder)
    if not ranks.leads:
        return CellResult(status="ok")
    result = CellResult(
        status="ok",
        train=describe_training(outcome, training),
        cost=cost,
        health=outcome.health,
        provenance=training.network.provenance,
        environment=facts,
        **measured,
    )
    write_files(folder, training, cell, data)
    if outcome.weights is not None:
        save_tensors(folder / ADVERSARIAL_WEIGHTS, {"weights": outcome.weights}, {"key": cell.key})
    meter.report()
    return result


def train_method(training: Training, job: CellJob, channel: Channel) -> Outcome:
    """Train a method; one without a loss, such as a classical refiner, stays as it is."""
    if not job.cell.method.is_trained:
        peak = PeakMemory(training.device).bytes()
        return Outcome(finished=True, steps=0, seconds=0.0, images_per_second=None, peak_bytes=peak)
    channel.emit("stage", name="train")
    return train(training, Path(job.folder) / CHECKPOINT, job.checkpoint_seconds, channel)


def describe_training(outcome: Outcome, training: Training) -> Train:
    """Return what the record of a cell says of its training."""
    return Train(
        steps=outcome.steps,
        seconds=round(outcome.seconds, 3),
        images_per_second=outcome.images_per_second,
        shares=outcome.shares,
        seconds_to_best=outcome.seconds_to_best,
        class_weights=training.class_weights,
        capture=outcome.capture,
    )


def score_segmenter(
    segmenter: torch.nn.Module, training: Training, cell: Cell, data: CellData, folder: Path
) -> dict[str, Any]:
    """Score a segmenter and return fields of `CellResult`; write counts, pictures and a fold's predictions.

    Several processes count together, and the first one does the rest.
    """
    protocol, ranks = cell.method.protocol, training.ranks
    split = data.scored(protocol.evaluate)
    counts = evaluate(segmenter, split, protocol, data.dataset, ranks)
    refinement = None
    if isinstance(segmenter, Refined):
        refinement = measure_refinement(segmenter, split, protocol, data.dataset, ranks)
    if not ranks.leads:
        return {}
    write_counts(folder, counts)
    _write_pictures(folder / SAMPLES, segmenter, training, data)
    if Subset.parse(cell.subset).is_fold:
        write_fold_predictions(folder / PROBABILITIES, segmenter, cell, data)
    found = scores(counts)
    return {
        "scores": found,
        "per_class": per_class(counts),
        "definitions": _definitions(found, protocol),
        "evaluated": Evaluated(
            split=counts.split,
            images=len(counts.ids),
            classes=list(data.dataset.classes),
            also_in_train=data.count_also_in_train(counts.split),
        ),
        "refinement": refinement,
    }


def _definitions(found: Scores, protocol: TrainingProtocol) -> dict[str, str]:
    if protocol.score_at == "resized":
        return definitions_resized(found, str(protocol.resize))
    return definitions(found)


def _write_pictures(folder: Path, segmenter: torch.nn.Module, training: Training, data: CellData) -> None:
    """Write pictures of the first images to be scored, with the discriminator's scores if there is one."""
    adversary, protocol = training.adversary, training.protocol
    write_samples(
        folder,
        segmenter,
        data.packed(protocol.evaluate),
        training.device,
        data.dataset,
        protocol,
        score_map=None if adversary is None else adversary.evaluate_score_map,
        score_boundary=None if adversary is None else adversary.boundary,
    )


def compare_images(
    generator: torch.nn.Module, training: Training, cell: Cell, data: CellData, folder: Path
) -> dict[str, Any]:
    """Compare generated images with real ones and return fields of `CellResult`; write sample grids.

    Of several processes the first one does it.
    """
    if not training.ranks.leads:
        return {}
    write_grid(folder / SAMPLES / LAST_GRID, generator, cell, data, training.mapping)
    write_nearest(folder / SAMPLES / NEAREST_GRID, generator, cell, data, training.mapping)
    generation = score_generator(generator, cell, data, training.mapping)
    return {
        "generation": generation,
        "evaluated": Evaluated(split=cell.method.protocol.evaluate, images=generation.images),
    }


def measure_cost(network: torch.nn.Module, training: Training, cell: Cell, data: CellData, outcome: Outcome) -> Cost:
    """Return what the method costs; the peak memory of inference is measured later, when the method is timed.

    The pixels that a CUDA device holds are the dataset's, and no cost of the method.
    """
    size = inference_size(cell, data, training.mapping)
    seen = cell.method.input_size(size)
    inputs = inference_inputs(training.mapping, data.dataset.channels, 1, seen, training.device)
    return Cost(
        parameters=count_parameters(network, inputs),
        flops=_flops_of_views(network, inputs, training),
        flops_size=size,
        train_peak_bytes=None if outcome.peak_bytes is None else outcome.peak_bytes - (data.resident_bytes or 0),
        inference_peak_bytes=None,
        train_reserved_bytes=outcome.reserved_bytes,
        resident_bytes=data.resident_bytes,
    )


def _flops_of_views(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...], training: Training) -> int | None:
    """Return the floating-point operations for one image in all its views, None if they are not known."""
    views = training.protocol.tta
    if views is None or not training.mapping.predicts_labels:
        return flops(network, inputs)
    counted = [flops(network, (seen,)) for _, seen in see_views(inputs[0], views)]
    return None if None in counted else sum(filter(None, counted))


def write_files(folder: Path, training: Training, cell: Cell, data: CellData) -> None:
    """Write what is needed to use the network of the finished cell."""
    write_atomically(folder / DATASET, sealed_json(description_of(data.dataset).model_dump()))
    if cell.method.protocol.keep.model == "last":
        save_tensors(folder / MODEL, training.network.state_dict(), {"key": cell.key})
        if training.adversary is not None:
            save_tensors(folder / DISCRIMINATOR, training.adversary.discriminator.state_dict(), {"key": cell.key})


def preflight(job: CellJob, channel: Channel) -> None:
    """Build the cell's method, train it for one full step and run it on one image; raise the first error found.

    Upstream cells have not run yet, so placeholders take the place of their results.
    """
    if job.traced:
        wait_for_each_kernel()
    device = enter_device(job.device, job.rank, job.processes)
    protocol = job.cell.method.protocol
    apply_numeric_settings(protocol)
    with name_device_errors(device), name_lost_processes():
        ranks = join(job.rank, job.processes, job.meeting, device)
        registry = load_registry()
        data = open_data(job.cell, registry, device, share=0)  # one step needs a few images of the splits
        check_folds(job.cell.method, data)
        clusters_of(data.dataset, data.packed(protocol.evaluate).ids)
        upstream = make_stand_ins(job.cell, data, device)
        with TemporaryDirectory() as folder:
            training = prepare_training(job.cell, registry, data, device, upstream, Path(folder), ranks)
            if job.cell.method.is_trained:
                # Without compiling, which takes far longer than the step.
                one_step = replace(training, protocol=_one_step(protocol))
                train(one_step, Path(folder) / "checkpoint", job.checkpoint_seconds, channel)
                check_auxiliary(job.cell.method, training)
        run_once(as_segmenter(training.network, training.mapping, upstream.base), training, data)


def check_folds(method: Method, data: CellData) -> None:
    """Raise DataError if a refiner's base has more folds than labelled images, at any fraction of the labels."""
    if method.refines is None or not method.is_trained:
        return
    for fraction in method.labels:
        split_places(data.packed("train"), Subset(fraction).without_each(method.refines.folds)[0])


def check_auxiliary(method: Method, training: Training) -> None:
    """Raise SpecError if a method itself sets the weight of auxiliary outputs, and its network returns none."""
    if "auxiliary_weight" not in method.overrides or method.protocol.auxiliary_weight is None:
        return
    with torch.no_grad():
        returned = training.network(*training.mapping.inputs(training.batches.at(0), training.seed, 0))
    if not training.mapping.predicts_labels or not isinstance(returned, tuple) or len(returned) == 1:
        raise SpecError(
            f"protocol.auxiliary_weight: generator {method.generator.use} returns no auxiliary outputs beside "
            "predictions of labels; remove it from this method"
        )


def _one_step(protocol: TrainingProtocol) -> TrainingProtocol:
    return protocol.model_copy(update={"budget": Budget(steps=1), "validations": 0, "compile": False})


def run_once(network: torch.nn.Module, training: Training, data: CellData) -> None:
    """Run a network on the first image to be scored, or its first window, or a generator of images on one batch."""
    protocol = training.protocol
    split = data.scored(protocol.evaluate)
    if training.mapping.predicts_labels:
        height, width = protocol.window.size if protocol.window else split.seen.index.sizes[0]
        image = split.image(0)[None, :, :height, :width]
        inputs: tuple[torch.Tensor, ...] = (normalise(image, split.white, memory_format(protocol.channels_last)),)
    else:
        inputs = training.mapping.inputs(training.batches.at(0), training.seed, 0)
    network.eval()
    with torch.inference_mode(), autocast(training.device, protocol.precision):
        network(*inputs)
