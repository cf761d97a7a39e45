"""Before anything trains: build a method and take one step, so that a mistake shows in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from segbench.errors import DataError
from segbench.plan.subset import Subset
from segbench.registry import load_registry
from segbench.spec.protocol import Budget

from .cell_data import open_data
from .clusters import clusters_of
from .data.batches import evaluation_batches
from .data.subset import split_places
from .environment import resolve_device
from .memory import memory_errors_named
from .precision import apply_numeric_settings, autocast, memory_format
from .scoring import as_segmenter, is_scored
from .self_test import confused_classes
from .setup import prepare_training
from .train import Training, train
from .upstream import stand_ins

if TYPE_CHECKING:
    from segbench.contracts import Dataset
    from segbench.spec.protocol import Protocol
    from segbench.spec.recipe import Method

    from .cell_data import CellData
    from .job import CellJob, Channel


def preflight(job: CellJob, channel: Channel) -> None:
    """Build the cell's method, train it for one full step and run it on one image; raise what is wrong with it.

    What upstream cells will leave is not there yet, so stand-ins take its place.
    """
    device = resolve_device(job.device)
    protocol = job.cell.method.protocol
    apply_numeric_settings(protocol)
    with memory_errors_named(device):
        registry = load_registry()
        data = open_data(job.cell, registry, device)
        check_folds(job.cell.method, data)
        check_palette(job.cell.method, data.dataset)
        clusters_of(data.dataset, data.packed(protocol.evaluate).ids, job.cell.dataset_name)
        upstream = stand_ins(job.cell, data, device)
        with TemporaryDirectory() as folder:
            training = prepare_training(job.cell, registry, data, device, upstream, Path(folder))
            if job.cell.method.is_trained:
                # Compiling takes far longer than a step, and what it compiles is what is tried here.
                one_step = replace(training, protocol=_one_step(protocol))
                train(one_step, Path(folder) / "checkpoint", job.checkpoint_seconds, channel)
        run_once(as_segmenter(training.network, training.mapping, upstream.base), training, data)


def check_folds(method: Method, data: CellData) -> None:
    """Raise DataError if a refiner's base has more folds than labelled images, at any fraction of the labels."""
    if method.refines is None or not method.is_trained:
        return
    for fraction in method.labels:
        split_places(data.packed("train"), Subset(fraction).without_each(method.refines.folds)[0])


def check_palette(method: Method, dataset: Dataset) -> None:
    """Raise DataError if a generator would paint classes in colours that cannot be told apart."""
    if method.maps != "image -> image":
        return
    for name, other in confused_classes(dataset):
        raise DataError(
            f"{method.generator.use} paints classes in their palette colours, and that of {name!r} is taken for "
            f"{other!r}; give each class of the dataset a colour of its own"
        )


def _one_step(protocol: Protocol) -> Protocol:
    return protocol.model_copy(update={"budget": Budget(steps=1), "validations": 0, "compile": False})


def run_once(network: torch.nn.Module, training: Training, data: CellData) -> None:
    """Run a network on the first image that will be scored, at its native size, or on what else it takes."""
    protocol = training.protocol
    split = data.resident(protocol.evaluate)
    if is_scored(training.mapping):
        batch = next(iter(evaluation_batches(split, 1, memory_format(protocol.channels_last))))
        inputs: tuple[torch.Tensor, ...] = (batch.images,)
    else:
        inputs = training.mapping.inputs(training.batches.at(0), training.seed, 0)
    network.eval()
    with torch.inference_mode(), autocast(training.device, protocol.precision):
        network(*inputs)
