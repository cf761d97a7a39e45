"""The preparation of a node for a run: it has the same code and data, and the data is decoded once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench.engine.data.cache import decode_splits
from segbench.engine.device import probe
from segbench.errors import SpecError
from segbench.plan.agreement import describe_differences
from segbench.plan.key import fingerprint
from segbench.plan.plan import component_uses, describe_code, read_code
from segbench.plan.repeat import check_files, with_key
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset

from .ray_node import find_data

if TYPE_CHECKING:
    from segbench.contract import Dataset
    from segbench.engine.job import Channel
    from segbench.plan.cell import Cell
    from segbench.registry import Registry

    from .ray_node import Preparation


def prepare(job: Preparation, channel: Channel) -> dict[str, Any]:
    """Check that cells come out here as they are planned, decode their data, and return the environment of the node.

    Raises the SegbenchError that says what is missing or differs: a plugin, a library, data, a file, the device.
    """
    registry = load_registry()
    cells = [find_data(cell) for cell in job.cells]
    datasets: dict[str, Dataset] = {}
    fingerprints: dict[str, str] = {}
    for cell in cells:
        name = cell.dataset_name
        if name not in datasets:
            offer = registry.find("dataset", cell.dataset.use)
            datasets[name] = open_dataset(offer, cell.dataset.root, cell.dataset.options)
            fingerprints[name] = fingerprint(datasets[name])
        check_files(cell)
        _check_code(cell, fingerprints[name], registry)
    decode_splits(cells, datasets, lambda message: channel.emit("warning", message=message))
    return probe(job.device, channel)


def _check_code(cell: Cell, found: str, registry: Registry) -> None:
    """Raise SpecError unless a cell has the same key here."""
    bare = cell.model_copy(update={"fingerprint": found})
    here = with_key(bare.model_copy(update=describe_code(bare, read_code(component_uses(cell), registry))))
    if here.key != cell.key:
        raise SpecError("; ".join(describe_differences(here, cell)))
