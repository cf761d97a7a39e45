"""A cell's dataset: its splits on the training device, and the groups of its images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from segbench.plan.data import equal_images
from segbench.registry.datasets import open_dataset

from .cache import open_split
from .folds import fold_dataset
from .resident import ResidentSplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from segbench.contract import Dataset
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .cache import PackedSplit


class CellData:
    """A dataset and its splits, each brought to the device once; those in `packed` are not in the cache."""

    def __init__(
        self, dataset: Dataset, cache_key: str, device: torch.device, packed: Mapping[str, PackedSplit] | None = None
    ) -> None:
        self.dataset = dataset
        self.num_classes = len(dataset.classes)
        self._cache_key, self._device = cache_key, device
        self._packed = packed or {}
        self._resident: dict[str, ResidentSplit] = {}

    def packed(self, split: str) -> PackedSplit:
        """Return a split, from the cache or as it was given; it is decoded first where the cache does not have it."""
        if split in self._packed:
            return self._packed[split]
        return open_split(self.dataset, split, self._cache_key)

    def count_also_in_train(self, split: str) -> int | None:
        """Return how many images of a split are in train too, pixel by pixel; None for train itself."""
        if split == "train" or "train" not in self.dataset.splits:
            return None
        return len(equal_images(self.packed("train").image_digests, self.packed(split).image_digests))

    def resident(self, split: str) -> ResidentSplit:
        """Return a split whose pixels lie on the device, or on the host where they do not fit."""
        if split not in self._resident:
            self._resident[split] = ResidentSplit(self.packed(split), self._device)
        return self._resident[split]


def open_data(cell: Cell, registry: Registry, device: torch.device) -> CellData:
    """Open the cell's dataset; raise DataError if its files are missing, or cannot be cross-validated as asked."""
    offer = registry.find("dataset", cell.dataset.use)
    assert cell.cache_key is not None, "a cell runs only when its data is available"
    dataset = open_dataset(offer, cell.dataset.root, cell.dataset.options)
    if (stated := cell.dataset.redistributable) is not None:
        dataset = replace(dataset, redistributable=stated)
    if cell.dataset.folds is None:
        return CellData(dataset, cell.cache_key, device)
    folded = fold_dataset(dataset, cell.dataset.folds, cell, partial(open_split, dataset, cache_key=cell.cache_key))
    return CellData(folded.dataset, cell.cache_key, device, folded.packed)


def common_size(split: ResidentSplit | PackedSplit) -> tuple[int, int]:
    """Return the most frequent (height, width) of a split's images; the first one among equals."""
    return Counter((int(height), int(width)) for height, width in split.sizes).most_common(1)[0][0]


def choose_evenly(length: int, count: int) -> list[int]:
    """Return at most `count` indices spread evenly over a sequence, in order.

    >>> choose_evenly(10, 3), choose_evenly(2, 4)
    ([0, 4, 9], [0, 1])
    """
    return sorted({round(index) for index in np.linspace(0, length - 1, min(count, length)).tolist()})
