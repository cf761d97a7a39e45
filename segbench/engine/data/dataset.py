"""A cell's dataset: its splits on the training device, and the groups of its images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from segbench.plan.data import equal_images
from segbench.registry.datasets import open_dataset

from .cache import open_resized, open_split
from .folds import fold_dataset
from .resident import ResidentSplit, resident_budget

if TYPE_CHECKING:
    import torch

    from segbench.config.resize import Resize, Resolution
    from segbench.contract import Dataset
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .cache import PackedSplit
    from .folds import Folded


class CellData:
    """A dataset and its splits, each brought to the device once, resized where the protocol asks for it.

    The splits in `folded` are not in the cache. `share` is that of the device which is the cell's own.
    """

    def __init__(
        self,
        dataset: Dataset,
        cache_key: str,
        device: torch.device,
        resize: Resize | None = None,
        score_at: Resolution = "native",
        folded: Folded | None = None,
        share: float = 1.0,
    ) -> None:
        self.dataset = dataset
        self.num_classes = len(dataset.classes)
        self._cache_key, self._device, self._share = cache_key, device, share
        self._resize, self._score_at = resize, score_at
        self._folded, self._folded_resized = (folded.packed, folded.resized) if folded else ({}, {})
        self._resident: dict[str, ResidentSplit] = {}

    def packed(self, split: str) -> PackedSplit:
        """Return a split, not resized, as it was folded or from the cache; it is decoded first if need be."""
        if split in self._folded:
            return self._folded[split]
        return open_split(self.dataset, split, self._cache_key)

    def resized(self, split: str) -> PackedSplit:
        """Return a split from the cache at the size at which networks are given it; it is resized first if need be."""
        if self._resize is None:
            return self.packed(split)
        if split in self._folded_resized:
            return self._folded_resized[split]
        return open_resized(self.dataset, split, self._cache_key, self._resize)

    def count_also_in_train(self, split: str) -> int | None:
        """Return how many images of a split are in train too, pixel by pixel; None for train itself."""
        if split == "train" or "train" not in self.dataset.splits:
            return None
        return len(equal_images(self.packed("train").image_digests, self.packed(split).image_digests))

    def resident(self, split: str) -> ResidentSplit:
        """Return a resized split whose pixels lie on the device, or on the host where they do not fit."""
        if split not in self._resident:
            self._resident[split] = ResidentSplit(self.resized(split), self._device, budget=self._budget())
        return self._resident[split]

    def scored(self, split: str) -> ResidentSplit:
        """Return a split to score: resized images, the labels at the resolution at which they are compared."""
        if self._resize is None or self._score_at == "resized":
            return self.resident(split)
        if (name := f"{split}, native labels") not in self._resident:
            native, seen = self.packed(split), self.resized(split)
            self._resident[name] = ResidentSplit(native, self._device, seen, self._budget())
        return self._resident[name]

    @property
    def resident_bytes(self) -> int | None:
        """The bytes of pixels that lie on the device; None on the CPU."""
        return None if self._device.type == "cpu" else self._taken()

    def _taken(self) -> int:
        return sum(split.device_bytes for split in self._resident.values())

    def _budget(self) -> int | None:
        return resident_budget(self._device, self._share, self._taken())


def open_data(cell: Cell, registry: Registry, device: torch.device, share: float = 1.0) -> CellData:
    """Open the cell's dataset; raise DataError if its files are missing, or cannot be cross-validated as asked.

    `share` is that of the device which is the cell's own; at 0 all pixels stay on the host.
    """
    offer = registry.find("dataset", cell.dataset.use)
    assert cell.cache_key is not None, "a cell runs only when its data is available"
    dataset = open_dataset(offer, cell.dataset.root, cell.dataset.options)
    if (stated := cell.dataset.redistributable) is not None:
        dataset = replace(dataset, redistributable=stated)
    resize = cell.method.protocol.resize
    folded = None
    if cell.dataset.folds is not None:
        open_native = partial(open_split, dataset, cache_key=cell.cache_key)
        open_seen = partial(open_resized, dataset, cache_key=cell.cache_key, resize=resize) if resize else None
        folded = fold_dataset(dataset, cell.dataset.folds, cell, open_native, open_seen)
        dataset = folded.dataset
    return CellData(dataset, cell.cache_key, device, resize, cell.method.protocol.score_at, folded, share)


def common_size(split: ResidentSplit | PackedSplit) -> tuple[int, int]:
    """Return the most frequent (height, width) of a split's images; the first one among equals."""
    return Counter((int(height), int(width)) for height, width in split.sizes).most_common(1)[0][0]


def choose_evenly(length: int, count: int) -> list[int]:
    """Return at most `count` indices spread evenly over a sequence, in order.

    >>> choose_evenly(10, 3), choose_evenly(2, 4)
    ([0, 4, 9], [0, 1])
    """
    return sorted({round(index) for index in np.linspace(0, length - 1, min(count, length)).tolist()})
