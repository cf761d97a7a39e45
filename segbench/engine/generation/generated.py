"""Compare generated images with real ones: sample grids and scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from segbench.config.augment import Augment
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.numerics import autocast, memory_format
from segbench.engine.pictures.drawing import sample_grid, save_picture
from segbench.store.record import Generation

from .features import PIXEL_STATISTICS, Features
from .metrics import diversity, find_nearest, kernel_distance, nearest, pixel_statistics_distance, precision_and_recall

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from segbench.config.protocol import TrainingProtocol
    from segbench.engine.data.dataset import CellData
    from segbench.engine.model.mapping import GeneratorMapping
    from segbench.plan.cell import Cell


# Samples of a grid, and the most that are compared with real images: distances between all pairs are taken.
GRID_SAMPLES, MOST_SAMPLES = 16, 2048

# One seed for all methods, so that all are given the same labels and the same noise.
SAMPLE_SEED = 0


def write_grid(path: Path, network: nn.Module, cell: Cell, data: CellData, mapping: GeneratorMapping) -> None:
    """Write a grid of generated images as a PNG; the same noise, and the same labels, every time."""
    _, fake = draw_samples(network, cell, data, mapping, GRID_SAMPLES)
    save_picture(sample_grid(fake), path)


def write_nearest(path: Path, network: nn.Module, cell: Cell, data: CellData, mapping: GeneratorMapping) -> None:
    """Write a grid of pairs as a PNG: a generated image, and right of it the crop of the train split nearest to it."""
    _, fake = draw_samples(network, cell, data, mapping, GRID_SAMPLES // 2)
    pairs = torch.stack([fake, find_nearest(fake, _training_crops(cell, data))], dim=1)
    save_picture(sample_grid(pairs.flatten(0, 1)), path)


def score_generator(network: nn.Module, cell: Cell, data: CellData, mapping: GeneratorMapping) -> Generation:
    """Return how well generated images match crops of the evaluated split, as many of each as the split has images."""
    number = min(len(data.resident(cell.method.protocol.evaluate)), MOST_SAMPLES)
    real, fake = draw_samples(network, cell, data, mapping, number)
    features = Features.of(cell.method.protocol.features, real.device)
    return generation_scores(real, fake, features, _training_crops(cell, data))


def draw_samples(
    network: nn.Module, cell: Cell, data: CellData, mapping: GeneratorMapping, number: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `number` crops of the evaluated split and as many generated images, (N, C, H, W) in [-1, 1].

    A generator from labels to images is given the labels of the crops. Leaves the network in evaluation mode.
    """
    protocol = cell.method.protocol
    batches = _crops(data, protocol, protocol.evaluate)
    network.eval()
    real, fake = [], []
    for step in range(-(-number // batches.batch_size)):
        batch = batches.at(step)
        with torch.no_grad(), autocast(batch.images.device, protocol.precision):
            output = network(*mapping.inputs(batch, SAMPLE_SEED, step))
        real.append(batch.images)
        fake.append(output[:, : data.dataset.channels].float().clamp(-1, 1))
    return torch.cat(real)[:number], torch.cat(fake)[:number]


def _training_crops(cell: Cell, data: CellData) -> Tensor:
    """Return a crop of each image of the train split, (M, C, H, W) in [-1, 1], on the host: they may be many."""
    crops = _crops(data, cell.method.protocol, "train")
    return torch.cat([crops.at(step).images.cpu() for step in range(-(-len(crops.split) // crops.batch_size))])


def _crops(data: CellData, protocol: TrainingProtocol, split: str) -> TrainingBatches:
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


def generation_scores(real: Tensor, fake: Tensor, features: Features, training: Tensor | None = None) -> Generation:
    """Return how well generated images match real ones.

    KID, precision and recall are those of `features`, except that pixel statistics have no KID. A score that is
    undefined, for lack of images or because images are not finite, is None; so is `nearest` without training images.
    Compare only scores of the same features and about the same numbers of images.

    - real, fake, training: (N, C, H, W), float in [-1, 1]; N may differ
    """
    pixels = Features.of_pixels()
    real_statistics, fake_statistics = pixels(real), pixels(fake)
    real_features, fake_features = real_statistics, fake_statistics
    kid = None
    if features.name != PIXEL_STATISTICS:
        real_features, fake_features = features(real), features(fake)
        kid = kernel_distance(real_features, fake_features)
    manifolds = precision_and_recall(real_features, fake_features)
    return Generation(
        features=features.name,
        images=len(fake),
        kid=_finite(kid and kid[0]),
        kid_sd=_finite(kid and kid[1]),
        pixel_statistics=_finite(pixel_statistics_distance(real_statistics, fake_statistics)),
        precision=manifolds and manifolds[0],
        recall=manifolds and manifolds[1],
        diversity=_finite(float(diversity(fake))),
        nearest=None if training is None else _finite(float(nearest(fake, training))),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
