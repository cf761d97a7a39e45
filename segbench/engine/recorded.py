"""A recorded cell brought back: its record found by path or key, its network with the weights that were kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from segbench.contracts import Dataset
from segbench.errors import RecordError
from segbench.plan.cell import Cell
from segbench.plan.source import source_hash
from segbench.registry import load_registry
from segbench.store.folder import read_record, record_files

from .cell_data import CellData
from .checkpoint import load_tensors
from .components import build_network
from .dataset_description import DATASET, DatasetDescription, read_description
from .precision import apply_numeric_settings
from .setup import MODEL

if TYPE_CHECKING:
    import torch

    from segbench.registry import Registry
    from segbench.spec.protocol import Protocol
    from segbench.store.record import Record

    from .network import Segmenter


@dataclass(frozen=True)
class RecordedNetwork:
    """A trained network in evaluation mode, and what it was trained under; `warnings` say what has changed since."""

    network: Segmenter
    dataset: DatasetDescription
    protocol: Protocol
    warnings: tuple[str, ...]


def find_record(cell: str, results: Path) -> Path:
    """Return the record file meant by its path, or by its key or the beginning of it, in any benchmark of `results`.

    Raises RecordError if there is none, or more than one.
    """
    path = Path(cell)
    if path.suffix == ".json" or len(path.parts) > 1:
        if not path.is_file():
            raise RecordError(f"there is no record {path}")
        return path
    folders = sorted(folder for folder in results.iterdir() if folder.is_dir()) if results.is_dir() else []
    records = [record for folder in folders for record in record_files(folder)]
    found = [record for record in records if record.stem.startswith(cell)]
    if not found:
        raise RecordError(
            f"no key in {results} begins with {cell!r} ({len(records)} records there); "
            "give another folder with --results, or the record's path"
        )
    if len(found) > 1:
        raise RecordError(
            f"{cell!r} is the beginning of more than one key: {', '.join(map(str, found))}; write more of it"
        )
    return found[0]


def load_network(path: Path, device: torch.device) -> RecordedNetwork:
    """Build the network of a record with the weights left beside it, in evaluation mode on `device`.

    Needs the plugins of its components, but not its dataset. Raises RecordError if the record is not of a finished cell
    or what it left is missing or damaged.
    """
    record, folder = _finished(path), path.with_suffix("")
    model = folder / MODEL
    if not model.is_file():
        raise RecordError(
            f"{path}: its network was not kept, there is no {model}; "
            "run the cell again with `--set protocol.keep.model=last` after removing the record"
        )
    cell = _parsed_cell(record, path)
    description = read_description(folder / DATASET)
    registry = load_registry()
    apply_numeric_settings(cell.method.protocol)
    dataset = Dataset(description.classes, description.palette, {}, description.ignore_index, description.channels)
    network = build_network(cell, registry, CellData(dataset, "", device), _built_for(cell, record, path), device)
    _load_weights(network, model)
    network.eval()
    return RecordedNetwork(network, description, cell.method.protocol, tuple(_changes(cell, registry)))


def _finished(path: Path) -> Record:
    try:
        record = read_record(path)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    if record.spec.get("scored"):
        raise RecordError(f"{path}: label maps of another tool were scored there, so there is no network")
    if record.status != "ok":
        cause = f": {record.error.cause}" if record.error else ""
        raise RecordError(f"{path}: that cell is {record.status}{cause}; only a finished one can predict")
    return record


def _parsed_cell(record: Record, path: Path) -> Cell:
    try:
        return Cell.model_validate(record.spec)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordError(f"{path}: its spec is not that of a cell: {place}: {first['msg']}") from error


def _built_for(cell: Cell, record: Record, path: Path) -> tuple[int, int]:
    """Return the image size that the network was built for: the crop, or else that of whole images."""
    size = cell.method.protocol.crop or (record.cost.flops_size if record.cost else None)
    if size is None:
        raise RecordError(f"{path}: it tells neither a crop nor the size of its images")
    return size


def _load_weights(network: Segmenter, model: Path) -> None:
    try:
        network.load_state_dict(load_tensors(model)[0])
    except RuntimeError as error:
        raise RecordError(f"{model} does not fit the network that the plugin builds now: {error}") from error


def _changes(cell: Cell, registry: Registry) -> list[str]:
    """Say if the generator's code is no longer what the cell was trained with."""
    name = cell.method.generator.use
    recorded = cell.sources.get(f"generator {name}")
    if recorded in (None, source_hash(registry.find("generator", name))):
        return []
    return [f"the source code of {name} has changed since this cell was trained; its predictions may differ"]
