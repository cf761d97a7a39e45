"""A generator built small for its checks, the inputs it takes, and what it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from segbench.contracts import SEGMENTING_MAPS
from segbench.engine.components import build_generator
from segbench.engine.mapping import Mapping
from segbench.engine.pairing import FieldForm

from .check import CheckSkipped
from .coloured import coloured_batch, palette

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from segbench.engine.data.batches import Batch
    from segbench.engine.network import Segmenter, Synthesizer
    from segbench.registry import Offer

    Size = tuple[int, int]

SIZE = (64, 64)
CHANNELS = 3
CLASSES = 4
NOISE_CHANNELS = 16
IGNORE_INDEX = 255

_SHOWN = 5


@dataclass(frozen=True)
class Trial:
    """A generator as the engine would build it, with what it maps; images have `channels` and `size`."""

    network: Segmenter | Synthesizer
    mapping: Mapping
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
        output, auxiliary = self.network.split(returned, batch.labels, IGNORE_INDEX)
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
    form = FieldForm(num_classes, IGNORE_INDEX, palette(num_classes))
    mapping = Mapping(offer.component.maps, form, NOISE_CHANNELS)
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


def listed(names: list[str]) -> str:
    """Return the first few names of parameters, buffers or modules, as the author knows them."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name.removeprefix("network.") for name in names[:_SHOWN]) + more
