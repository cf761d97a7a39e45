"""From a cell's recipe to networks, losses and data on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from segbench.registry.datasets import open_dataset
from segbench.registry.options import build

from .data.cache import PackedSplit, pack
from .network import Segmenter
from .precision import memory_format
from .seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.contracts import Dataset
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class CellData:
    """A cell's dataset and where its decoded splits are cached."""

    dataset: Dataset
    cache_key: str

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.dataset.classes)

    def packed(self, split: str) -> PackedSplit:
        """Return a split from the cache, decoding it first where it is not there."""
        return pack(self.dataset, split, self.cache_key)


def open_data(cell: Cell, registry: Registry) -> CellData:
    """Open the cell's dataset; raise DataError if it is not at hand."""
    offer = registry.find("dataset", cell.dataset.use)
    assert cell.cache_key is not None, "a cell runs only once its data is at hand"
    return CellData(open_dataset(offer, cell.dataset.root, cell.dataset.options), cell.cache_key)


def build_network(
    cell: Cell, registry: Registry, data: CellData, size: tuple[int, int], device: torch.device
) -> Segmenter:
    """Build the cell's generator for images of `size` (height, width), its weights drawn from the cell's seed."""
    vocabulary: dict[str, Any] = {
        "in_channels": data.dataset.channels,
        "num_classes": data.num_classes,
        "image_channels": data.dataset.channels,
        "noise_channels": 0,
        "size": size,
    }
    torch.manual_seed(derive(cell.seed, "weights"))
    offer = registry.find("generator", cell.method.generator.use)
    network = Segmenter(build(offer, vocabulary, cell.method.generator.options), data.num_classes)
    return network.to(device, memory_format=memory_format(cell.method.protocol.channels_last))


def build_losses(cell: Cell, registry: Registry, data: CellData, device: torch.device) -> list[tuple[float, Loss]]:
    """Build the cell's losses with their weights."""
    vocabulary = {"num_classes": data.num_classes, "ignore_index": data.dataset.ignore_index}
    losses = []
    for use in cell.method.losses:
        loss = build(registry.find("loss", use.use), vocabulary, use.options)
        losses.append((use.weight, loss.to(device) if isinstance(loss, torch.nn.Module) else loss))
    return losses
