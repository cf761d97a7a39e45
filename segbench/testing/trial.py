"""A generator built small for its checks, and images whose classes are decided by colour to train it on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from segbench.contract import SEGMENTING_MAPS
from segbench.engine.data.batches import Batch
from segbench.engine.model.build import build_generator
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.errors import list_some

from .check import CheckSkipped
from .examples import IMAGE_CHANNELS, NUM_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from segbench.engine.model.network import Segmenter, Synthesizer
    from segbench.registry import Offer

    Size = tuple[int, int]


SIZE = (64, 64)
LATENT_CHANNELS = 16
TRIAL_IGNORE_INDEX = 255

_NAMES_SHOWN = 5

# How far pixels deviate from their class's colour, which is at least 1 from any other for up to 8 classes in RGB.
PIXEL_NOISE = 0.05


@dataclass(frozen=True)
class Trial:
    """A generator as the engine would build it, with what it maps; images have `channels` and `size`."""

    network: Segmenter | Synthesizer
    mapping: GeneratorMapping
    channels: int
    size: Size

    @property
    def makes_labels(self) -> bool:
        """Whether it makes label maps of images, which may then have any size; others make images of `size`."""
        return self.mapping.maps in SEGMENTING_MAPS

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that training claims, by name as the author knows them."""
        named = self.network.network.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def batch(self, number: int = 2, size: Size | None = None, seed: int = 0) -> Batch:
        """Return coloured images with their labels, the same for the same seed."""
        return coloured_batch(number, self.channels, self.mapping.form.num_classes, size or self.size, seed)

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return what the generator takes for a batch, in tensors of their own."""
        return tuple(one.clone() for one in self.mapping.inputs(batch, seed=0, step=0))

    def output(self, batch: Batch) -> Tensor:
        """Return the generator's output for a batch in its present mode; see `output_for`."""
        return self.output_for(self.inputs(batch))

    def output_for(self, inputs: Iterable[Tensor]) -> Tensor:
        """Return the output for inputs, without auxiliary outputs or gradient; random numbers are always the same."""
        torch.manual_seed(0)
        with torch.no_grad():
            return first_output(self.network(*inputs))

    def loss(self, batch: Batch, returned: Any) -> Tensor:
        """Return the supervised loss of what `forward` returned for a batch, the generator's auxiliary loss added."""
        output, auxiliary = self.network.split(returned, batch.labels, TRIAL_IGNORE_INDEX)
        loss = self._supervised(output.float(), batch)
        return loss if auxiliary is None else loss + auxiliary

    def _supervised(self, output: Tensor, batch: Batch) -> Tensor:
        match self.mapping.maps:
            case "image -> labels" | "image, labels -> labels":
                return functional.cross_entropy(output, batch.labels)
            case "noise -> image, labels":
                images, logits = output[:, : self.channels], output[:, self.channels :]
                return functional.mse_loss(images, batch.images) + functional.cross_entropy(logits, batch.labels)
            case _:
                return functional.mse_loss(output, self.mapping.target(batch))


def build_trial(
    offer: Offer, *, channels: int = IMAGE_CHANNELS, num_classes: int = NUM_CLASSES, size: Size = SIZE, seed: int = 0
) -> Trial:
    """Build a generator with its example options, in training mode, its weights drawn from the seed."""
    form = FieldForm(num_classes, TRIAL_IGNORE_INDEX, palette(num_classes))
    mapping = GeneratorMapping(offer.component.maps, form, LATENT_CHANNELS)
    torch.manual_seed(seed)
    network = build_generator(offer, dict(offer.component.example_options), mapping, channels, size)
    return Trial(network.train(), mapping, channels, size)


def first_output(returned: Any) -> Tensor:
    """Return the output of what a network in training returned: a tensor, or the first of a tuple."""
    output: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return output


def describe_difference(one: Tensor, other: Tensor) -> str | None:
    """Say by how much two outputs differ; None if it is no more than rounding."""
    largest = (one - other).abs().max().item()
    allowed = 1e-4 + 1e-3 * other.abs().max().item()
    return None if largest <= allowed else f"by up to {largest:.3g}, where values reach {other.abs().max().item():.3g}"


def run_backward(loss: Tensor) -> None:
    """Compute the gradients of a loss, unless the generator has nothing to train."""
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it


def skip_if_untrained(trial: Trial) -> None:
    """Raise CheckSkipped for a generator without parameters to train."""
    if not trial.parameters:
        raise CheckSkipped("no parameter of it requires a gradient: nothing is trained")


def join_names(names: list[str]) -> str:
    """Return the first few names of parameters, buffers or modules, as the author knows them."""
    return list_some([name.removeprefix("network.") for name in names], _NAMES_SHOWN)


# Images whose classes are decided by colour: four quadrants each, of one class and colour apiece.


def class_colours(num_classes: int, channels: int) -> torch.Tensor:
    """Return a colour (num_classes, channels) in [-1, 1] for each class: points of the coarsest grid with so many."""
    levels = max(2, math.ceil(num_classes ** (1 / channels) - 1e-9))
    classes = torch.arange(num_classes)
    digits = [classes // levels**place % levels for place in range(channels)]
    colours: torch.Tensor = torch.stack(digits, dim=1) * (2.0 / (levels - 1)) - 1.0
    return colours


def palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Return the colours of classes in RGB, 0 to 255."""
    red, green, blue = (class_colours(num_classes, 3).add(1).mul(127.5).round().int().T).tolist()
    return list(zip(red, green, blue, strict=True))


def coloured_batch(number: int, channels: int, num_classes: int, size: tuple[int, int], seed: int = 0) -> Batch:
    """Return images (number, channels, *size) in [-1, 1] with their labels and, for refiners, uniform probabilities."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack([_quadrants(num_classes, size, generator) for _ in range(number)])
    images = class_colours(num_classes, channels)[labels].movedim(-1, 1).contiguous()
    images = (images + PIXEL_NOISE * torch.randn(images.shape, generator=generator)).clamp(-1, 1)
    probabilities = torch.full((number, num_classes, *size), 1 / num_classes)
    return Batch(images, labels, tuple(range(number)), probabilities)


def nearest_class(images: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Return for images (N, C, H, W) the class (N, H, W) whose colour in (K, C) is nearest."""
    return torch.cdist(images.movedim(1, -1), colours.to(images)).argmin(dim=-1)


def _quadrants(num_classes: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Return labels of `size` in four quadrants of different classes, as far as there are so many."""
    order = torch.randperm(num_classes, generator=generator)
    height, width = size
    rows, columns = (torch.arange(length) * 2 // length for length in (height, width))
    return order[(2 * rows[:, None] + columns) % num_classes]
