"""Small trainings on real tensors, for the tests of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segbench import Dataset, Sample
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.network import Segmenter
from segbench.engine.precision import memory_format
from segbench.engine.train import Training
from segbench.spec.protocol import Protocol

CPU = torch.device("cpu")


class Recorder:
    """A channel that remembers what it is told and asks to stop after so many questions."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._left = stop_after

    def emit(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def stop_requested(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


def two_colours(count: int = 6, size: tuple[int, int] = (16, 20)) -> Dataset:
    """Images whose class is their brightness; the upper left pixel is ignored."""
    generator = np.random.default_rng(0)
    samples = []
    for index in range(count):
        labels = generator.integers(0, 2, size, dtype=np.uint8)
        image = np.repeat((labels * 200 + generator.integers(0, 50, size, dtype=np.uint8))[..., None], 3, axis=2)
        labels[0, 0] = 255
        samples.append(Sample(image.astype(np.uint8), labels, f"image {index}"))
    splits = {"train": samples, "val": samples[:2], "test": samples[:3]}
    return Dataset(("dark", "bright"), ((0, 0, 0), (255, 255, 255)), splits)


def small_network() -> torch.nn.Module:
    """Convolution, batch normalisation, dropout and a head: all that a checkpoint must not forget."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Conv2d(8, 2, 1),
    )


def cross_entropy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(output, target, ignore_index=255)


def make_training(
    network: torch.nn.Module | None = None, loss=cross_entropy, validate=None, **protocol: Any
) -> Training:
    """Return a training of 6 images in batches of 2, 8x8 crops, as a new and equal one at every call."""
    settings = Protocol(**{"budget": {"steps": 8}, "batch_size": 2, "crop": (8, 8), **protocol})
    layout = memory_format(settings.channels_last)
    dataset = two_colours()
    torch.manual_seed(0)
    segmenter = Segmenter(network or small_network(), 2).to(memory_format=layout)
    batches = TrainingBatches(
        ResidentSplit(pack(dataset, "train", "two colours"), CPU),
        batch_size=settings.batch_size,
        crop=settings.crop,
        augment=settings.augment,
        ignore_index=255,
        seed=3,
        memory_format=layout,
    )
    return Training(segmenter, [(1.0, loss)], batches, validate or (lambda network: 0.5), settings, 3, 255, CPU)


@pytest.fixture
def training():
    """The maker of small trainings."""
    return make_training


@pytest.fixture
def recorder():
    """The maker of channels."""
    return Recorder


@pytest.fixture
def dataset() -> Dataset:
    """Six images of two classes."""
    return two_colours()
