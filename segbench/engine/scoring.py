"""A cell's network as a segmenter, scored on a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import SEGMENTING_MAPS
from segbench.stats.scores import miou

from .clusters import clusters_of
from .evaluate import confusion_counts, evaluate
from .network import Decoded, Refined
from .pairing import palette_colours
from .precision import memory_format

if TYPE_CHECKING:
    import torch
    from torch import nn

    from segbench.plan.cell import Cell
    from segbench.store.counts import Counts

    from .cell_data import CellData
    from .mapping import Mapping


def as_segmenter(network: nn.Module, mapping: Mapping, base: nn.Module | None) -> nn.Module:
    """Return a generator as what takes images alone and returns logits; one that makes images is returned as it is.

    `base` is the frozen segmenter that a refiner stands behind.
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


def is_scored(mapping: Mapping) -> bool:
    """Tell whether a generator makes label maps, which confusion counts can score."""
    return mapping.maps in SEGMENTING_MAPS


def evaluate_on(split: str, segmenter: torch.nn.Module, cell: Cell, data: CellData) -> Counts:
    """Return all counts of a segmenter on a split, under the cell's protocol."""
    protocol, resident = cell.method.protocol, data.resident(split)
    return evaluate(
        segmenter,
        resident,
        split=split,
        num_classes=data.num_classes,
        ignore_index=data.dataset.ignore_index,
        batch_size=protocol.batch_size,
        precision=protocol.precision,
        memory_format=memory_format(protocol.channels_last),
        window=protocol.window,
        boundaries=protocol.boundaries,
        surface_distances=protocol.surface_distances,
        clusters=clusters_of(data.dataset, resident.ids, cell.dataset_name),
    )


def validation_miou(segmenter: torch.nn.Module, cell: Cell, data: CellData) -> float:
    """Return the mIoU of a segmenter on the validation split."""
    protocol = cell.method.protocol
    confusion = confusion_counts(
        segmenter,
        data.resident("val"),
        split="val",
        num_classes=data.num_classes,
        ignore_index=data.dataset.ignore_index,
        batch_size=protocol.batch_size,
        precision=protocol.precision,
        memory_format=memory_format(protocol.channels_last),
        window=protocol.window,
    )
    return miou(confusion.sum(axis=0)) or 0.0
