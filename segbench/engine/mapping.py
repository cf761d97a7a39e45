"""What a generator is given and what its supervised losses compare with, by what it maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .pairing import one_hot, palette_image
from .seeds import random_generator

if TYPE_CHECKING:
    from torch import Tensor

    from .data.batches import Batch
    from .pairing import FieldForm


@dataclass(frozen=True)
class Mapping:
    """What a generator maps, the form of label fields, and the channels of its noise."""

    maps: str
    form: FieldForm
    noise_channels: int

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
        shape = (len(batch.images), self.noise_channels)
        noise = torch.randn(shape, generator=random_generator(seed, "latent", step))
        return noise.to(batch.images.device, non_blocking=True)

    def target(self, batch: Batch) -> Tensor:
        """Return what supervised losses compare the output with: labels, palette colours (NaN if void), or images."""
        match self.maps:
            case "image -> labels" | "image, labels -> labels":
                return batch.labels
            case "image -> image":
                return palette_image(batch.labels, self.form)
            case _:
                return batch.images

    def output_channels(self, image_channels: int) -> int:
        """Return the channels of the generator's output, images and logits side by side where it makes both."""
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
    mapping: Mapping, channels: int, number: int, size: tuple[int, int], device: torch.device
) -> tuple[Tensor, ...]:
    """Return random inputs of a trained method, the same every time: images in [-1, 1], labels or noise.

    What makes label maps takes images (N, C, H, W) of `size`; a generator of images takes what it maps.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((number, mapping.noise_channels), generator=generator).to(device)
    match mapping.maps:
        case "labels -> image":
            labels = torch.randint(mapping.form.num_classes, (number, *size), generator=generator)
            return one_hot(labels.to(device), mapping.form), noise
        case "noise -> image" | "noise -> image, labels":
            return (noise,)
        case _:
            return ((2 * torch.rand((number, channels, *size), generator=generator) - 1).to(device),)
