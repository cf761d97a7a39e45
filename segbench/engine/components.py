"""From a cell's recipe to its network and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segbench.registry.options import build

from .network import Segmenter
from .precision import memory_format
from .seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .cell_data import CellData

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def build_network(
    cell: Cell, registry: Registry, data: CellData, size: tuple[int, int], device: torch.device
) -> Segmenter:
    """Build the cell's generator for images of `size` (height, width), its weights drawn from the cell's seed."""
    channels = data.dataset.channels
    vocabulary: dict[str, Any] = {
        "in_channels": channels,
        "num_classes": data.num_classes,
        "image_channels": channels,
        "noise_channels": 0,
        "size": size,
    }
    torch.manual_seed(derive(cell.seed, "weights"))
    offer = registry.find("generator", cell.method.generator.use)
    network = Segmenter(build(offer, vocabulary, cell.method.generator.options), data.num_classes)
    return network.to(device).to(memory_format=memory_format(cell.method.protocol.channels_last))


def build_losses(cell: Cell, registry: Registry, data: CellData, device: torch.device) -> list[tuple[float, Loss]]:
    """Build the cell's losses with their weights."""
    vocabulary = {"num_classes": data.num_classes, "ignore_index": data.dataset.ignore_index}
    losses = []
    for use in cell.method.losses:
        loss = build(registry.find("loss", use.use), vocabulary, use.options)
        losses.append((use.weight, loss.to(device) if isinstance(loss, torch.nn.Module) else loss))
    return losses
