"""The job that candidates of training share: a U-Net ResNet-18 on 192x256 crops of CamVid, batch 8, AdamW 1e-3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
import torch

from segbench.config.protocol import TrainingProtocol
from segbench.engine.data.batches import TrainingBatches
from segbench.engine.data.cache import pack
from segbench.engine.data.resident import ResidentSplit
from segbench.engine.device import resolve_device
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.engine.numerics import memory_format
from segbench.engine.training.loop import Training, train
from segbench.plan.key import fingerprint
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.registry.options import build

if TYPE_CHECKING:
    import argparse

    from segbench import Dataset
    from segbench.config.augment import Augment
    from segbench.engine.adversarial.adversary import Adversary
    from segbench.engine.data.batches import BatchSource
    from segbench.engine.model.network import Segmenter
    from segbench.engine.training.loop import Outcome

CLASSES, IGNORE, WARM_UP = 11, 255, 10
# The small job shows that a script runs; its figures mean nothing.
BATCH, CROP = (2, (32, 32)) if "SEGBENCH_HARNESS_SMALL" in os.environ else (8, (192, 256))
VOCABULARY = {"num_classes": CLASSES, "ignore_index": IGNORE}
MAPPING = GeneratorMapping("image -> labels", FieldForm(CLASSES, IGNORE, [(0, 0, 0)] * CLASSES), latent_channels=1)


def unet() -> torch.nn.Module:
    """Build the network that all candidates train."""
    torch.manual_seed(0)
    return smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)


def open_camvid(root: Path) -> Dataset:
    """Return CamVid in a folder that holds images/, masks/ and splits/."""
    return open_dataset(load_registry().find("dataset", "data/camvid"), str(root), {})


def resident(dataset: Dataset, split: str, options: argparse.Namespace) -> ResidentSplit:
    """Return a split on the options' device."""
    return ResidentSplit(pack(dataset, split, fingerprint(dataset)), resolve_device(options.device))


def crops(split: ResidentSplit, options: argparse.Namespace, seed: int, augment: Augment) -> TrainingBatches:
    """Return batches of random crops in the options' memory format."""
    return TrainingBatches(
        split,
        batch_size=BATCH,
        crop=CROP,
        augment=augment,
        ignore_index=IGNORE,
        seed=seed,
        memory_format=memory_format(options.channels_last),
    )


def protocol_of(options: argparse.Namespace, steps: int = 1) -> TrainingProtocol:
    """Return the protocol of training, for so many steps, and of evaluation."""
    return TrainingProtocol(
        budget={"steps": steps},
        batch_size=BATCH,
        precision=options.precision,
        channels_last=options.channels_last,
        tf32=options.tf32,
        schedule="constant",
        **getattr(options, "protocol", {}),
    )


class Silent:
    """A channel to nobody."""

    def emit(self, event: str, **fields: object) -> None:
        """Drop the event."""

    def stop_requested(self) -> bool:
        """Never stop."""
        return False


def train_a_block(
    network: Segmenter,
    batches: BatchSource,
    options: argparse.Namespace,
    steps: int,
    adversary: Adversary | None = None,
) -> Outcome:
    """Train by segbench's own loop, so many steps after the warm-up, which its images/s do not count."""
    training = Training(
        network=network,
        mapping=MAPPING,
        losses=[(1.0, build(load_registry().find("loss", "losses/cross_entropy"), VOCABULARY, {}))],
        batches=batches,
        validate=lambda network, step: 0.0,
        protocol=protocol_of(options, WARM_UP + steps),
        seed=0,
        device=resolve_device(options.device),
        adversary=adversary,
    )
    return train(training, Path("/nonexistent/checkpoint"), 1e9, Silent())
