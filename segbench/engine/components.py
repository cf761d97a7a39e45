"""From a cell's recipe to its network, losses and adversary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from segbench.errors import SpecError
from segbench.registry.options import build

from .mapping import Mapping
from .network import Segmenter, Synthesizer
from .pairing import FieldForm, critic_channels
from .precision import memory_format
from .seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.plan.cell import Cell
    from segbench.registry import Registry
    from segbench.spec.recipe import ComponentUse, Penalty

    from .cell_data import CellData

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
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
    mapping, channels = mapping_of(cell, data), data.dataset.channels
    vocabulary: dict[str, Any] = {
        "in_channels": mapping.input_channels(channels),
        "num_classes": data.num_classes,
        "image_channels": 3 if cell.method.maps == "image -> image" else channels,
        "noise_channels": cell.method.noise_channels,
        "size": size,
    }
    torch.manual_seed(derive(cell.seed, "weights"))
    module = build(registry.find("generator", cell.method.generator.use), vocabulary, cell.method.generator.options)
    made = mapping.output_channels(channels)
    network = Synthesizer(module, made, size) if cell.method.maps.startswith("noise") else Segmenter(module, made)
    return network.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def build_losses(cell: Cell, registry: Registry, data: CellData, device: torch.device) -> list[tuple[float, Loss]]:
    """Build the cell's losses with their weights."""
    return [(use.weight, build_loss(use, registry, data, device)) for use in cell.method.losses]


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
    critic: torch.nn.Module = build(registry.find("discriminator", use.use), vocabulary, use.options)
    return critic.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def check_no_batch_norm(critic: torch.nn.Module, penalty: Penalty) -> None:
    """Raise SpecError if a critic whose gradients are penalised normalises over the batch."""
    if any(isinstance(module, _BatchNorm) for module in critic.modules()):
        raise SpecError(
            f"the penalty {penalty.use} is taken of each sample's own gradient, but the discriminator normalises over "
            "the batch, which makes a sample's score depend on the others; give it another norm (norm: none or "
            "norm: instance), or leave the penalty out"
        )
