"""Images that a trained generator makes: sample grids, and the real ones of a split to compare them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.spec.protocol import Augment

from .data.batches import TrainingBatches
from .generation import Features, generation_scores
from .precision import autocast, memory_format
from .sample_grid import sample_grid

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from segbench.plan.cell import Cell
    from segbench.spec.protocol import Protocol
    from segbench.store.record import Generation

    from .cell_data import CellData
    from .mapping import Mapping

# Samples of a grid, and the most that are compared with real images: distances between all pairs are taken.
GRID_SAMPLES, MOST_SAMPLES = 16, 2048

# One seed for all methods, so that the same labels and the same noise are looked at.
SAMPLE_SEED = 0


def write_grid(path: Path, network: nn.Module, cell: Cell, data: CellData, mapping: Mapping) -> None:
    """Write a grid of generated images as a PNG; the same noise, and the same labels, every time."""
    _, made = real_and_made(network, cell, data, mapping, GRID_SAMPLES)
    path.parent.mkdir(parents=True, exist_ok=True)
    sample_grid(made).save(path)


def generation_on(network: nn.Module, cell: Cell, data: CellData, mapping: Mapping) -> Generation:
    """Return how well generated images match crops of the evaluated split, as many of each as the split has images."""
    number = min(len(data.resident(cell.method.protocol.evaluate)), MOST_SAMPLES)
    real, made = real_and_made(network, cell, data, mapping, number)
    training = _crops(data, cell.method.protocol, "train")
    seen = [training.at(step).images for step in range(-(-len(training.split) // training.batch_size))]
    features = Features.of(cell.method.protocol.features, real.device)
    return generation_scores(real, made, features, torch.cat(seen))


def real_and_made(
    network: nn.Module, cell: Cell, data: CellData, mapping: Mapping, number: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `number` crops of the evaluated split and as many generated images, (N, C, H, W) in [-1, 1].

    A generator that paints labels is given those of the crops. Leaves the network in evaluation mode.
    """
    protocol = cell.method.protocol
    batches = _crops(data, protocol, protocol.evaluate)
    network.eval()
    real, made = [], []
    for step in range(-(-number // batches.batch_size)):
        batch = batches.at(step)
        with torch.no_grad(), autocast(batch.images.device, protocol.precision):
            output = network(*mapping.inputs(batch, SAMPLE_SEED, step))
        real.append(batch.images)
        made.append(output[:, : data.dataset.channels].float().clamp(-1, 1))
    return torch.cat(real)[:number], torch.cat(made)[:number]


def _crops(data: CellData, protocol: Protocol, split: str) -> TrainingBatches:
    resident = data.resident(split)
    return TrainingBatches(
        resident,
        batch_size=min(protocol.batch_size, len(resident)),
        crop=protocol.crop,
        augment=Augment(),
        ignore_index=data.dataset.ignore_index,
        seed=SAMPLE_SEED,
        memory_format=memory_format(protocol.channels_last),
    )
