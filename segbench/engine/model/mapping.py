"""The inputs, targets and channels of a generator, by what it maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from segbench.config.recipe import Encoding
from segbench.contract import SEGMENTING_MAPS
from segbench.engine.numerics import random_generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segbench.engine.data.batches import Batch


@dataclass(frozen=True)
class FieldForm:
    """The form of label maps: classes, ignored label, palette (0 to 255), and how a discriminator sees them."""

    num_classes: int
    ignore_index: int
    palette: Sequence[tuple[int, int, int]]
    encoding: Encoding = field(default_factory=Encoding)
    conditional: bool = True


@dataclass(frozen=True)
class GeneratorMapping:
    """What a generator maps, the form of label maps, and the channels of its noise."""

    maps: str
    form: FieldForm
    latent_channels: int

    @property
    def predicts_labels(self) -> bool:
        """Whether the generator predicts label maps of images, which are scored by mIoU; the others make images."""
        return self.maps in SEGMENTING_MAPS

    def inputs(self, batch: Batch, seed: int, step: int) -> tuple[Tensor, ...]:
        """Return what the generator's forward pass takes for a batch; noise is a function of the seed and the step."""
        match self.maps:
            case "image -> labels" | "image -> image":
                return (batch.images,)
            case "image, labels -> labels":
                assert batch.probabilities is not None, "a refiner's batches come with its base's predictions"
                return batch.images, batch.probabilities
            case "labels -> image":
                return one_hot(batch.labels, self.form), self.noise(batch, seed, step)
            case _:
                return (self.noise(batch, seed, step),)

    def noise(self, batch: Batch, seed: int, step: int) -> Tensor:
        """Return standard normal noise (N, Z)."""
        shape = (len(batch.images), self.latent_channels)
        noise = torch.randn(shape, generator=random_generator(seed, "latent", step))
        return noise.to(batch.images.device, non_blocking=True)

    def target(self, batch: Batch) -> Tensor:
        """Return the target of supervised losses: labels, palette colours (NaN where ignored), or images."""
        return self.label_target(batch.labels) if self.predicts_labels else batch.images

    def label_target(self, labels: Tensor) -> Tensor:
        """Return the target of supervised losses of what predicts label maps, for labels (N, H, W)."""
        return palette_image(labels, self.form) if self.maps == "image -> image" else labels

    def output_channels(self, image_channels: int) -> int:
        """Return the channels of the generator's output; images and logits side by side where it makes both."""
        return {
            "image -> labels": self.form.num_classes,
            "image, labels -> labels": self.form.num_classes,
            "image -> image": 3,
            "labels -> image": image_channels,
            "noise -> image": image_channels,
            "noise -> image, labels": image_channels + self.form.num_classes,
        }[self.maps]

    def input_channels(self, image_channels: int) -> int:
        """Return the channels of the generator's first input that is a field: images, or one-hot labels."""
        return self.form.num_classes if self.maps == "labels -> image" else image_channels


def inference_inputs(
    mapping: GeneratorMapping, channels: int, number: int, size: tuple[int, int], device: torch.device
) -> tuple[Tensor, ...]:
    """Return random inputs of a trained method, the same every time: images in [-1, 1], labels or noise.

    What makes label maps takes images (N, C, H, W) of `size`; a generator of images takes what it maps.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((number, mapping.latent_channels), generator=generator).to(device)
    match mapping.maps:
        case "labels -> image":
            labels = torch.randint(mapping.form.num_classes, (number, *size), generator=generator)
            return one_hot(labels.to(device), mapping.form), noise
        case "noise -> image" | "noise -> image, labels":
            return (noise,)
        case _:
            return ((2 * torch.rand((number, channels, *size), generator=generator) - 1).to(device),)


def one_hot(labels: Tensor, form: FieldForm) -> Tensor:
    """Return labels (N, H, W) as (N, K, H, W) float32, zero where they are ignored."""
    valid = (labels != form.ignore_index)[:, None]
    number, height, width = labels.shape
    zeros = torch.zeros((number, form.num_classes, height, width), device=labels.device)
    return zeros.scatter_(1, labels[:, None].masked_fill(~valid, 0), valid.float())


def palette_image(labels: Tensor, form: FieldForm) -> Tensor:
    """Return labels (N, H, W) in palette colours (N, 3, H, W) in [-1, 1], NaN where they are ignored."""
    colours = palette_colours(form.palette, labels.device)
    valid = labels != form.ignore_index
    image = colours[labels.masked_fill(~valid, 0)].movedim(-1, 1)
    return image.masked_fill(~valid[:, None], float("nan"))


def palette_colours(palette: Sequence[tuple[int, int, int]], device: torch.device) -> Tensor:
    """Return a palette as (K, 3) in [-1, 1]."""
    return torch.tensor(palette, dtype=torch.float32).to(device, non_blocking=True) / 127.5 - 1
