"""Build the network and the losses of a cell from its recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from segbench.engine.numerics import derive, memory_format, training_seed
from segbench.errors import PluginError
from segbench.registry.options import build

from .mapping import FieldForm, GeneratorMapping, palette_colours
from .network import Decoded, Refined, Segmenter, Synthesizer, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from segbench.config.recipe import ComponentUse
    from segbench.engine.data.dataset import CellData
    from segbench.plan.cell import Cell
    from segbench.registry import Offer, Registry

    Size = tuple[int, int]


def mapping_of(cell: Cell, data: CellData) -> GeneratorMapping:
    """Return what the cell's generator maps, with the classes and colours of the cell's data."""
    adversarial, dataset = cell.method.adversarial, data.dataset
    form = FieldForm(data.num_classes, dataset.ignore_index, dataset.palette)
    if adversarial is not None:
        form = replace(form, encoding=adversarial.encoding, conditional=adversarial.conditional)
    return GeneratorMapping(cell.method.maps, form, cell.method.latent_channels)


def build_network(
    cell: Cell, registry: Registry, data: CellData, size: Size, device: torch.device
) -> Segmenter | Synthesizer:
    """Build the cell's generator for images of `size` (height, width), its weights drawn from the cell's seed."""
    offer, use = registry.find("generator", cell.method.generator.use), cell.method.generator
    torch.manual_seed(derive(training_seed(cell), "weights"))
    network = build_generator(offer, use.options, mapping_of(cell, data), data.dataset.channels, size)
    return network.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def build_generator(
    offer: Offer, options: dict[str, Any], mapping: GeneratorMapping, channels: int, size: Size
) -> Segmenter | Synthesizer:
    """Build a generator for images of `channels` and `size` (height, width) on the CPU, drawing from torch's seed."""
    vocabulary: dict[str, Any] = {
        "in_channels": mapping.input_channels(channels),
        "num_classes": mapping.form.num_classes,
        "image_channels": 3 if mapping.maps == "image -> image" else channels,
        "latent_channels": mapping.latent_channels,
        "noise_channels": mapping.latent_channels,
        "size": size,
    }
    module, made = build(offer, vocabulary, options), mapping.output_channels(channels)
    check_module(module, offer)
    if mapping.maps.startswith("noise"):
        return Synthesizer(module, made, size, offer.full_name)
    return Segmenter(module, made, offer.full_name)


def as_segmenter(network: torch.nn.Module, mapping: GeneratorMapping, base: torch.nn.Module | None) -> torch.nn.Module:
    """Return a generator as a module from images alone to logits; one that makes images is returned as it is.

    `base` is the frozen segmenter whose predictions a refiner corrects.
    """
    match mapping.maps:
        case "image -> image":
            device = next(network.parameters()).device
            return Decoded(network, palette_colours(mapping.form.palette, device))
        case "image, labels -> labels":
            assert base is not None, "a refiner has a base"
            return Refined(base, network)
        case _:
            return network


def check_module(built: Any, offer: Offer) -> None:
    """Raise PluginError if a component that should be a network is something else."""
    if not isinstance(built, torch.nn.Module):
        raise PluginError(
            f"{offer.kind} {offer.full_name} built a {type(built).__name__}; expected a torch.nn.Module",
            plugin=offer.plugin,
        )


def build_losses(
    cell: Cell, registry: Registry, data: CellData, device: torch.device, class_weights: Mapping[str, list[float]]
) -> list[tuple[float, SupervisedLoss]]:
    """Build the cell's supervised losses, each with its weight; `class_weights` are those that they have by name."""
    built = []
    for use in cell.method.losses:
        made = {"class_weights": class_weights[use.class_weights]} if use.class_weights else {}
        loss = build_loss(use.model_copy(update={"options": use.options | made}), registry, data, device)
        built.append((use.weight, SupervisedLoss(registry.find("loss", use.use), loss)))
    return built


def build_loss(use: ComponentUse, registry: Registry, data: CellData, device: torch.device) -> Any:
    """Build a loss or penalty of any role."""
    vocabulary = {"num_classes": data.num_classes, "ignore_index": data.dataset.ignore_index}
    loss = build(registry.find("loss", use.use), vocabulary, use.options)
    return loss.to(device) if isinstance(loss, torch.nn.Module) else loss


@dataclass(frozen=True)
class SupervisedLoss:
    """A supervised loss that names its component in error messages.

    A callable of output (N, K, H, W) and target; raises PluginError if the component returns no scalar.
    """

    offer: Offer
    function: Callable[[torch.Tensor, torch.Tensor], Any]

    @property
    def component(self) -> str:
        """The full name of the component."""
        return self.offer.full_name

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss."""
        value = self.function(output, target)
        if not isinstance(value, torch.Tensor) or value.ndim != 0:
            raise PluginError(
                f"loss {self.offer.full_name} returned {describe(value)} for an output {tuple(output.shape)}; expected "
                "a scalar tensor",
                plugin=self.offer.plugin,
            )
        return value
