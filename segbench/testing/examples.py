"""A generator built small for its checks, the inputs it takes, and what it is trained on.

What supervised losses compare: logits with labels, or images with images.

Images whose classes are decided by colour: four quadrants each, of one class and colour apiece.

What the checks build critics and losses for, and what they show them.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn import functional

from segbench.config.recipe import CLASSIFYING_MAPS
from segbench.contract import SEGMENTING_MAPS
from segbench.engine.data.batches import Batch
from segbench.engine.model.build import build_generator
from segbench.engine.model.mapping import FieldForm, GeneratorMapping
from segbench.registry.options import build

from .check import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from segbench.engine.model.network import Segmenter, Synthesizer
    from segbench.registry import Offer

    Size = tuple[int, int]


SIZE = (64, 64)


CHANNELS = 3


CLASSES = 4


NOISE_CHANNELS = 16


TRIAL_IGNORE_INDEX = 255


_NAMES_SHOWN = 5


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
            return first(self.network(*inputs))

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
    offer: Offer, *, channels: int = CHANNELS, num_classes: int = CLASSES, size: Size = SIZE, seed: int = 0
) -> Trial:
    """Build a generator with its example options, in training mode, its weights drawn from the seed."""
    form = FieldForm(num_classes, TRIAL_IGNORE_INDEX, palette(num_classes))
    mapping = GeneratorMapping(offer.component.maps, form, NOISE_CHANNELS)
    torch.manual_seed(seed)
    network = build_generator(offer, dict(offer.component.example_options), mapping, channels, size)
    return Trial(network.train(), mapping, channels, size)


def first(returned: Any) -> Tensor:
    """Return the output of what a network in training returned: a tensor, or the first of a tuple."""
    output: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return output


def differ(one: Tensor, other: Tensor) -> str | None:
    """Say by how much two outputs differ; None if it is no more than rounding."""
    largest = (one - other).abs().max().item()
    allowed = 1e-4 + 1e-3 * other.abs().max().item()
    return None if largest <= allowed else f"by up to {largest:.3g}, where values reach {other.abs().max().item():.3g}"


def backward(loss: Tensor) -> None:
    """Carry a loss backwards; that of a generator which nothing is trained of goes nowhere."""
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it


def skip_untrained(trial: Trial) -> None:
    """Raise CheckSkipped for a generator that nothing is to be trained of."""
    if not trial.parameters:
        raise CheckSkipped("no parameter of it requires a gradient: nothing is trained")


def name_list(names: list[str]) -> str:
    """Return the first few names of parameters, buffers or modules, as the author knows them."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(name.removeprefix("network.") for name in names[:_NAMES_SHOWN]) + more


# Of logits: one of them is high enough for a loss that is least at certainty, one low enough for smoothed labels.
CONFIDENCES = (1.0, 2.0, 4.0, 8.0, 16.0)


class Comparison(Protocol):
    """What a loss compares; `ignored` (N, 1, H, W) tells the pixels of `target` that do not count."""

    ignored: Tensor

    @property
    def target(self) -> Tensor:
        """What the loss is given."""

    def output(self, seed: int) -> Tensor:
        """Return a random output."""

    def outputs_that_show(self, mistaken: Tensor) -> list[Tensor]:
        """Return outputs that show the truth, but something else where pixels (N, 1, H, W) are mistaken."""


class LogitsAndLabels:
    """Logits (N, K, H, W) and labels (N, H, W)."""

    def __init__(self, number: int, height: int, width: int, ignored_share: float) -> None:
        # Every class occurs, and neighbours differ.
        self._truth = torch.arange(number * height * width).mul(3).remainder(NUM_CLASSES).view(number, height, width)
        self.ignored = _some(number, height, width, ignored_share)

    @property
    def target(self) -> Tensor:
        """The labels, new at every call: a loss that writes to them spoils nothing else."""
        return self._truth.masked_fill(self.ignored[:, 0], IGNORE_INDEX)

    def output(self, seed: int) -> Tensor:
        """Return random logits."""
        number, height, width = self._truth.shape
        return normal(number, NUM_CLASSES, height, width, seed=seed)

    def outputs_that_show(self, mistaken: Tensor) -> list[Tensor]:
        """Return logits that show the truth, but the next class where mistaken, more and more surely."""
        shown = torch.where(mistaken[:, 0], (self._truth + 1) % NUM_CLASSES, self._truth)
        one_hot = functional.one_hot(shown, NUM_CLASSES).movedim(-1, 1).float()
        return [confidence * (2 * one_hot - 1) for confidence in CONFIDENCES]


class Images:
    """Images (N, C, H, W) in [-1, 1], NaN where the target is unknown."""

    def __init__(self, number: int, height: int, width: int, ignored_share: float) -> None:
        self._truth = normal(number, IMAGE_CHANNELS, height, width, seed=99).clamp(-1, 1)
        self.ignored = _some(number, height, width, ignored_share)

    @property
    def target(self) -> Tensor:
        """The target image."""
        return self._truth.masked_fill(self.ignored, float("nan"))

    def output(self, seed: int) -> Tensor:
        """Return a random image."""
        return normal(*self._truth.shape, seed=seed).clamp(-1, 1)

    def outputs_that_show(self, mistaken: Tensor) -> list[Tensor]:
        """Return the truth, but its negative where mistaken."""
        return [torch.where(mistaken, -self._truth, self._truth)]


def comparison(
    offer: Offer, *, number: int = 2, height: int = 9, width: int = 7, ignored_share: float = 0.25
) -> Comparison:
    """Return what the loss compares: labels unless its `maps` makes images."""
    kind = LogitsAndLabels if offer.component.maps in CLASSIFYING_MAPS else Images
    return kind(number, height, width, ignored_share)


def _some(number: int, height: int, width: int, share: float) -> Tensor:
    """Return a mask (N, 1, H, W) of about so large a share of the pixels."""
    places = torch.rand(number, 1, height, width, generator=torch.Generator().manual_seed(5))
    return places < share


# How far pixels stray from their class's colour, which lies at least 1 from any other for up to 8 classes in RGB.
NOISE = 0.05


def class_colours(num_classes: int, channels: int) -> torch.Tensor:
    """Return a colour (num_classes, channels) in [-1, 1] for each class: the points of a grid, as coarse as will do."""
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
    images = (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(-1, 1)
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


NUM_CLASSES = 4


IMAGE_CHANNELS = 3


# Neither 255 nor -100, which a loss might take for granted.
IGNORE_INDEX = 17


LOSS_VOCABULARY = {"num_classes": NUM_CLASSES, "ignore_index": IGNORE_INDEX}


def built(offer: Offer, vocabulary: Mapping[str, Any], seed: int = 0) -> Any:
    """Build a component with its example options, its weights drawn from the seed."""
    torch.manual_seed(seed)
    return build(offer, vocabulary, offer.component.example_options)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers, float32, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def given(what: str) -> Iterator[None]:
    """Say in front of whatever a component raises what it was given."""
    try:
        yield
    except (CheckFailed, CheckSkipped):
        raise
    except Exception as error:
        raise CheckFailed(f"{what}: {type(error).__name__}: {error}") from error


def require_finite(tensors: Mapping[str, Tensor | None]) -> None:
    """Raise CheckFailed naming the first tensor that holds NaN or infinity; None stands for no gradient at all."""
    for what, tensor in tensors.items():
        if tensor is not None and not tensor.isfinite().all():
            raise CheckFailed(f"{what} holds NaN or infinity")


def as_number(value: Any) -> float:
    """Return what a loss returned as one number, whatever its shape."""
    return float(torch.as_tensor(value).detach().sum())


def listed(output: Any) -> list[Tensor]:
    """Return what a component returned, a tensor or several, as a list."""
    return list(output) if isinstance(output, (list, tuple)) else [output]
