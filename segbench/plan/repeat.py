"""Recorded cells as they can be run again here: with the same code, data and files, or not and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from segbench.errors import ComponentError, DataError, RecordError, SpecError
from segbench.registry.datasets import dataset_root, open_dataset
from segbench.store.json_file import describe_error
from segbench.store.plugin_copies import explain_not_given

from .cell import Cell
from .key import cell_key, file_hashes, fingerprint, folder_hash, required_versions, source_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.config.recipe import DatasetUse
    from segbench.contract import Dataset, Kind
    from segbench.registry import Registry
    from segbench.store.record import Record


class _Data(NamedTuple):
    use: DatasetUse
    dataset: Dataset
    fingerprint: str


class Repeats:
    """The plugins and data of this machine, for cells that are run again; each dataset is read once.

    `root` is the folder of datasets that ask for one, by default that of $SEGBENCH_DATA.
    """

    def __init__(self, registry: Registry, root: str | None = None) -> None:
        self._registry, self._root = registry, root
        self._data: dict[str, _Data] = {}

    def cell(self, record: Record, folder: Path) -> Cell:
        """Return the cell of a record, whose other files are in `folder`, to be run again exactly as it is recorded.

        Raises the SegbenchError that says why it cannot be: a plugin, its source, data or a file is missing or
        other than it was, or the key does not follow from what is recorded.
        """
        cell = read_cell(record)
        self._check_plugins(record, cell, folder)
        self._check_sources(cell)
        _check_files(cell)
        data = self._open(cell.dataset)
        if data.fingerprint != cell.fingerprint:
            raise DataError(
                f"the data of {cell.dataset.use} is not what it was: its fingerprint is {data.fingerprint[:12]} "
                f"and was {str(cell.fingerprint)[:12]}"
            )
        check_key(record)
        return cell.model_copy(update={"dataset": data.use})

    def dataset(self, cell: Cell) -> Dataset:
        """Return the dataset of a cell that can be run again."""
        return self._open(cell.dataset).dataset

    def other_versions(self, cell: Cell) -> tuple[str, ...]:
        """Say which libraries that the components of a cell require have other versions than it ran with."""
        offers = [self._registry.find(kind, name) for kind, name in _components(cell)]
        now = {name: version for offer in offers for name, version in required_versions(offer).items()}
        return tuple(
            f"{name} {cell.versions.get(name, 'none')}, now {version}"
            for name, version in sorted(now.items())
            if cell.versions.get(name) != version
        )

    def _check_plugins(self, record: Record, cell: Cell, folder: Path) -> None:
        needed = {name.partition("/")[0] for name in cell.component_names}
        for file in record.plugin_files:
            if file.plugin in needed and file.plugin not in self._registry.plugins:
                raise RecordError(explain_not_given(file, folder))

    def _check_sources(self, cell: Cell) -> None:
        for kind, name in _components(cell):
            recorded, now = cell.sources.get(f"{kind} {name}"), source_hash(self._registry.find(kind, name))
            if recorded != now:
                raise ComponentError(f"the source code of {name} is not what it was: {now} and was {recorded}")

    def _open(self, use: DatasetUse) -> _Data:
        name = use.model_dump_json(exclude={"root"})
        if name not in self._data:
            offer = self._registry.find("dataset", use.use)
            asked = "root" in offer.signature.asked
            root = dataset_root(offer, self._root if asked else None)
            placed = use.model_copy(update={"root": None if root is None else str(root.absolute())})
            dataset = open_dataset(offer, placed.root, use.options)
            self._data[name] = _Data(placed, dataset, fingerprint(dataset))
        return self._data[name]


def read_cell(record: Record) -> Cell:
    """Return the cell that a record was made of; RecordError if it does not hold one."""
    if record.spec.get("scored"):
        raise RecordError("it holds scores of label maps of another tool, so there is nothing to run")
    try:
        return Cell.model_validate(record.spec)
    except ValidationError as error:
        raise RecordError(f"its spec is not that of a cell, {describe_error(error)}") from error


def check_key(record: Record) -> None:
    """Raise RecordError unless the key of a record follows from what it says the cell is made of."""
    cell = read_cell(record)
    told = (cell.key, cell.benchmark, cell.dataset_name, cell.subset, cell.method.name, cell.seed)
    if told != (record.key, record.benchmark, record.dataset, record.subset, record.method, record.seed):
        raise RecordError("its spec is that of another cell")
    if cell_key(cell) != record.key:
        version = record.environment.get("segbench")
        raise RecordError(
            f"its key does not follow from its spec; it was made with another engine of segbench"
            f"{f' (version {version})' if version else ''}, or has been changed"
        )


def _components(cell: Cell) -> list[tuple[Kind, str]]:
    return [("dataset", cell.dataset.use), *((kind, use.use) for kind, use in cell.method.components)]


def _check_files(cell: Cell) -> None:
    """Raise SpecError unless the files and folders that options name are what they were."""
    now: Mapping[Path, str]
    for name, digest in cell.files.items():
        path = Path(name)
        try:
            now = {path: folder_hash(path)} if path.is_dir() else file_hashes([path])
        except OSError as error:
            raise SpecError(f"{path}, which an option names, cannot be read: {error.strerror}") from error
        if now[path] != digest:
            raise SpecError(f"{path}, which an option names, is not what it was")
