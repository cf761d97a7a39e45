"""A cell's dataset: what it is, and its splits on the training device."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from segbench.registry.datasets import open_dataset

from .data.cache import pack
from .data.resident import ResidentSplit

if TYPE_CHECKING:
    import torch

    from segbench.contracts import Dataset
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .data.packed import PackedSplit


class CellData:
    """A dataset and its splits, each brought to the device once."""

    def __init__(self, dataset: Dataset, cache_key: str, device: torch.device) -> None:
        self.dataset = dataset
        self.num_classes = len(dataset.classes)
        self._cache_key, self._device = cache_key, device
        self._resident: dict[str, ResidentSplit] = {}

    def packed(self, split: str) -> PackedSplit:
        """Return a split from the cache, decoding it first where it is not there."""
        return pack(self.dataset, split, self._cache_key)

    def resident(self, split: str) -> ResidentSplit:
        """Return a split whose pixels lie on the device, or on the host where they do not fit."""
        if split not in self._resident:
            self._resident[split] = ResidentSplit(self.packed(split), self._device)
        return self._resident[split]


def open_data(cell: Cell, registry: Registry, device: torch.device) -> CellData:
    """Open the cell's dataset; raise DataError if it is not at hand."""
    offer = registry.find("dataset", cell.dataset.use)
    assert cell.cache_key is not None, "a cell runs only once its data is at hand"
    dataset = open_dataset(offer, cell.dataset.root, cell.dataset.options)
    return CellData(dataset, cell.cache_key, device)


def common_size(split: ResidentSplit | PackedSplit) -> tuple[int, int]:
    """Return the most frequent (height, width) of a split's images; the first one among equals."""
    return Counter((int(height), int(width)) for height, width in split.sizes).most_common(1)[0][0]
