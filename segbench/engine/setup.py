"""What a cell needs before its first step, and how its network is scored on a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segbench.stats.scores import scores

from .cell_data import CellData, common_size
from .checkpoint import load_tensors
from .components import build_losses, build_network
from .data.batches import TrainingBatches
from .data.classes import check_classes
from .evaluate import evaluate
from .precision import memory_format
from .train import Training

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from segbench.plan.cell import Cell
    from segbench.registry import Registry
    from segbench.store.counts import Counts

MODEL = "model.safetensors"


def prepare_training(
    cell: Cell, registry: Registry, data: CellData, device: torch.device, upstream: Mapping[str, str]
) -> Training:
    """Build everything that training needs; raise DataError where the data does not suit the protocol.

    `upstream` maps "start_from" to the folder of the cell whose weights are the start.
    """
    protocol = cell.method.protocol
    if protocol.absent_classes == "refuse":
        check_classes(data.packed("train"), data.dataset.classes)
    split = data.resident("train")
    batches = TrainingBatches(
        split,
        batch_size=protocol.batch_size,
        crop=protocol.crop,
        augment=protocol.augment,
        ignore_index=data.dataset.ignore_index,
        seed=cell.seed,
        memory_format=memory_format(protocol.channels_last),
    )
    network = build_network(cell, registry, data, protocol.crop or common_size(split), device)
    if "start_from" in upstream:
        network.load_state_dict(load_tensors(Path(upstream["start_from"]) / MODEL)[0])
    return Training(
        network=network,
        losses=build_losses(cell, registry, data, device),
        batches=batches,
        validate=lambda candidate: validation_miou(candidate, cell, data),
        protocol=protocol,
        seed=cell.seed,
        ignore_index=data.dataset.ignore_index,
        device=device,
    )


def evaluate_on(split: str, network: torch.nn.Module, cell: Cell, data: CellData) -> Counts:
    """Return the confusion counts of a network on a split, under the cell's protocol."""
    protocol = cell.method.protocol
    return evaluate(
        network,
        data.resident(split),
        split=split,
        num_classes=data.num_classes,
        ignore_index=data.dataset.ignore_index,
        batch_size=protocol.batch_size,
        precision=protocol.precision,
        memory_format=memory_format(protocol.channels_last),
        window=protocol.window,
    )


def validation_miou(network: torch.nn.Module, cell: Cell, data: CellData) -> float:
    """Return the mIoU of a network on the validation split."""
    return scores(evaluate_on("val", network, cell, data).confusion.sum(axis=0)).miou or 0.0
