"""A cell's dataset: its splits on the training device, the groups of its images, and its description.

The description is kept with a cell's weights, so that its network can be used where the data is not.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import Field, PositiveInt, ValidationError, model_validator

from segbench.config.protocol import Frozen
from segbench.errors import DataError, RecordError
from segbench.images import Reading
from segbench.plan.data import equal_images
from segbench.registry.datasets import LARGEST_LABEL, open_dataset
from segbench.store.folder import how_to_redo
from segbench.store.json_file import describe_error, read_json

from .cache import open_split
from .resident import ResidentSplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from segbench.contract import Dataset
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .cache import PackedSplit


DATASET = "dataset.json"


class CellData:
    """A dataset and its splits, each brought to the device once."""

    def __init__(self, dataset: Dataset, cache_key: str, device: torch.device) -> None:
        self.dataset = dataset
        self.num_classes = len(dataset.classes)
        self._cache_key, self._device = cache_key, device
        self._resident: dict[str, ResidentSplit] = {}

    def packed(self, split: str) -> PackedSplit:
        """Return a split from the cache; it is decoded first where the cache does not have it."""
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
    """Open the cell's dataset; raise DataError if its files are missing."""
    offer = registry.find("dataset", cell.dataset.use)
    assert cell.cache_key is not None, "a cell runs only when its data is available"
    dataset = open_dataset(offer, cell.dataset.root, cell.dataset.options)
    return CellData(dataset, cell.cache_key, device)


def common_size(split: ResidentSplit | PackedSplit) -> tuple[int, int]:
    """Return the most frequent (height, width) of a split's images; the first one among equals."""
    return Counter((int(height), int(width)) for height, width in split.sizes).most_common(1)[0][0]


def choose_evenly(length: int, count: int) -> list[int]:
    """Return at most `count` indices spread evenly over a sequence, in order.

    >>> choose_evenly(10, 3), choose_evenly(2, 4)
    ([0, 4, 9], [0, 1])
    """
    return sorted({round(index) for index in np.linspace(0, length - 1, min(count, length)).tolist()})


def clusters_of(dataset: Dataset, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Return the group of each image by its id; None if the dataset has no groups.

    Raises DataError where its `cluster` returns something else than the name of a group.
    """
    if dataset.cluster is None:
        return None
    clusters = tuple(dataset.cluster(one) for one in ids)
    for one, cluster in zip(ids, clusters, strict=True):
        if not isinstance(cluster, str) or not cluster:
            raise DataError(
                f"the dataset's cluster function returned {cluster!r} for the image {one!r}; it must return the name "
                "of a group, a text that is not empty. Correct it in the dataset's plugin, or give cluster=None"
            )
    return clusters


Byte = Annotated[int, Field(ge=0, le=255)]


class DatasetDescription(Frozen):
    """The classes with their palette colours, the ignored label, the channels, and how image files are read."""

    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=LARGEST_LABEL)]
    palette: tuple[tuple[Byte, Byte, Byte], ...]
    ignore_index: Annotated[int, Field(ge=0, le=LARGEST_LABEL)]
    channels: PositiveInt
    reading: Reading = Reading()

    @model_validator(mode="after")
    def check_palette(self) -> Self:
        """Refuse more or fewer colours than classes."""
        if len(self.palette) != len(self.classes):
            raise ValueError(f"{len(self.palette)} colours in palette for {len(self.classes)} classes")
        return self


def description_of(dataset: Dataset) -> DatasetDescription:
    """Return the description of a dataset."""
    return DatasetDescription(
        classes=tuple(dataset.classes),
        palette=tuple(dataset.palette),
        ignore_index=dataset.ignore_index,
        channels=dataset.channels,
        reading=dataset.reading or Reading(),
    )


def read_description(path: Path) -> DatasetDescription:
    """Read the description of a cell's dataset from a file; raise RecordError if it is missing or damaged."""
    try:
        return DatasetDescription.model_validate(read_json(path))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        cause = describe_error(error) if isinstance(error, ValidationError) else error
        raise RecordError(f"{path} does not describe a dataset: {cause}; {how_to_redo(path.parent)}") from error
