"""From a cell's recipe to its network, losses and adversary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from segbench.errors import PluginError, SpecError
from segbench.registry.options import build

from .mapping import Mapping
from .network import Segmenter, Synthesizer
from .pairing import FieldForm, critic_channels
from .precision import memory_format
from .seeds import derive
from .supervised_loss import SupervisedLoss

if TYPE_CHECKING:
    from segbench.plan.cell import Cell
    from segbench.registry import Offer, Registry
    from segbench.spec.recipe import ComponentUse, Penalty

    from .cell_data import CellData

    Size = tuple[int, int]


def mapping_of(cell: Cell, data: CellData) -> Mapping:
    """Return what the cell's generator maps on the cell's data."""
    adversarial, dataset = cell.method.adversarial, data.dataset
    form = FieldForm(data.num_classes, dataset.ignore_index, dataset.palette)
    if adversarial is not None:
        form = replace(form, encoding=adversarial.encoding, conditional=adversarial.conditional)
    return Mapping(cell.method.maps, form, cell.method.noise_channels)


def build_network(
    cell: Cell, registry: Registry, data: CellData, size: Size, device: torch.device
) -> Segmenter | Synthesizer:
    """Build the cell's generator for images of `size` (height, width), its weights drawn from the cell's seed."""
    offer, use = registry.find("generator", cell.method.generator.use), cell.method.generator
    torch.manual_seed(derive(cell.seed, "weights"))
    network = build_generator(offer, use.options, mapping_of(cell, data), data.dataset.channels, size)
    return network.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def build_generator(
    offer: Offer, options: dict[str, Any], mapping: Mapping, channels: int, size: Size
) -> Segmenter | Synthesizer:
    """Build a generator for images of `channels` and `size` (height, width) on the CPU, drawing from torch's seed."""
    vocabulary: dict[str, Any] = {
        "in_channels": mapping.input_channels(channels),
        "num_classes": mapping.form.num_classes,
        "image_channels": 3 if mapping.maps == "image -> image" else channels,
        "noise_channels": mapping.noise_channels,
        "size": size,
    }
    module, made = build(offer, vocabulary, options), mapping.output_channels(channels)
    check_module(module, offer)
    if mapping.maps.startswith("noise"):
        return Synthesizer(module, made, size, offer.full_name)
    return Segmenter(module, made, offer.full_name)


def check_module(built: Any, offer: Offer) -> None:
    """Raise PluginError if a component that should be a network is something else."""
    if not isinstance(built, torch.nn.Module):
        raise PluginError(
            f"{offer.kind} {offer.full_name} built a {type(built).__name__}; expected a torch.nn.Module",
            plugin=offer.plugin,
        )


def build_losses(
    cell: Cell, registry: Registry, data: CellData, device: torch.device
) -> list[tuple[float, SupervisedLoss]]:
    """Build the cell's losses with their weights; they see to it that plugins return scalars."""
    return [
        (use.weight, SupervisedLoss(registry.find("loss", use.use), build_loss(use, registry, data, device)))
        for use in cell.method.losses
    ]


def build_loss(use: ComponentUse, registry: Registry, data: CellData, device: torch.device) -> Any:
    """Build a loss or penalty of any role."""
    vocabulary = {"num_classes": data.num_classes, "ignore_index": data.dataset.ignore_index}
    loss = build(registry.find("loss", use.use), vocabulary, use.options)
    return loss.to(device) if isinstance(loss, torch.nn.Module) else loss


def build_critic(cell: Cell, registry: Registry, data: CellData, size: Size, device: torch.device) -> torch.nn.Module:
    """Build the cell's discriminator, its weights drawn from the cell's seed."""
    use = cell.method.discriminator
    assert use is not None, "an adversarial recipe has a discriminator"
    vocabulary: dict[str, Any] = {
        "in_channels": critic_channels(cell.method.maps, data.dataset.channels, mapping_of(cell, data).form),
        "num_classes": data.num_classes,
        "size": size,
    }
    torch.manual_seed(derive(cell.seed, "critic weights"))
    offer = registry.find("discriminator", use.use)
    critic: torch.nn.Module = build(offer, vocabulary, use.options)
    check_module(critic, offer)
    return critic.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def check_no_batch_norm(critic: torch.nn.Module, penalty: Penalty) -> None:
    """Raise SpecError if a critic whose gradients are penalised normalises over the batch."""
    if any(isinstance(module, _BatchNorm) for module in critic.modules()):
        raise SpecError(
            f"the penalty {penalty.use} is taken of each sample's own gradient, but the discriminator normalises over "
            "the batch, which makes a sample's score depend on the others; give it another norm (norm: none or "
            "norm: instance), or leave the penalty out"
        )
