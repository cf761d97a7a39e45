"""Build a cell's discriminator, and check that it fits its penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from segbench.engine.model.build import check_module, mapping_of
from segbench.engine.numerics import derive, memory_format, training_seed
from segbench.errors import SpecError
from segbench.registry.options import build

from .pairing import discriminator_channels

if TYPE_CHECKING:
    from segbench.config.recipe import Penalty
    from segbench.engine.data.dataset import CellData
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    Size = tuple[int, int]


def build_discriminator(
    cell: Cell, registry: Registry, data: CellData, size: Size, device: torch.device
) -> torch.nn.Module:
    """Build the cell's discriminator, its weights drawn from the cell's seed."""
    use = cell.method.discriminator
    assert use is not None, "an adversarial recipe has a discriminator"
    vocabulary: dict[str, Any] = {
        "in_channels": discriminator_channels(cell.method.maps, data.dataset.channels, mapping_of(cell, data).form),
        "num_classes": data.num_classes,
        "size": size,
    }
    torch.manual_seed(derive(training_seed(cell), "critic weights"))
    offer = registry.find("discriminator", use.use)
    discriminator: torch.nn.Module = build(offer, vocabulary, use.options)
    check_module(discriminator, offer)
    return discriminator.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def check_no_batch_norm(discriminator: torch.nn.Module, penalty: Penalty) -> None:
    """Raise SpecError if a discriminator whose gradients are penalised normalises over the batch."""
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        raise SpecError(
            f"the penalty {penalty.use} is taken of each sample's own gradient, but the discriminator normalises over "
            "the batch, which makes a sample's score depend on the others; give it another norm (norm: none or "
            "norm: instance), or leave the penalty out"
        )
