"""Recorded cells as they can be run again here: with the same data and files, and what of the code has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from segbench.errors import DataError, RecordError, SpecError
from segbench.registry.datasets import dataset_root, open_dataset
from segbench.store.json_file import describe_error
from segbench.store.plugin_copies import explain_not_given

from .cell import Cell
from .key import ENGINE_VERSION, cell_key, engine_of, file_hashes, fingerprint, folder_hash
from .plan import component_uses, describe_code, read_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.config.recipe import DatasetUse
    from segbench.contract import Dataset
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
        """Return the cell of a record, whose other files are in `folder`, to be run again as it is recorded.

        It runs with the code that is here: where that is not what it was, its key is another one, and
        `describe_changes` says why. Raises the SegbenchError that says why it cannot be run: a plugin, a library, data
        or a file is missing, data or a file is not what it was, or the key does not follow from what is recorded.
        """
        cell = read_cell(record)
        self._check_plugins(record, cell, folder)
        check_files(cell)
        data = self._open(cell.dataset)
        if data.fingerprint != cell.fingerprint:
            raise DataError(
                f"the data of {cell.dataset.use} is not what it was: its fingerprint is {data.fingerprint[:12]} "
                f"and was {str(cell.fingerprint)[:12]}"
            )
        _check_identity(record, cell)
        if engine_of(cell) is None:
            raise _key_error(record)
        code = describe_code(cell, read_code(component_uses(cell), self._registry))
        return with_key(cell.model_copy(update={"dataset": data.use, **code}))

    def dataset(self, cell: Cell) -> Dataset:
        """Return the dataset of a cell that can be run again."""
        return self._open(cell.dataset).dataset

    def _check_plugins(self, record: Record, cell: Cell, folder: Path) -> None:
        needed = {name.partition("/")[0] for name in cell.component_names}
        for file in record.plugin_files:
            if file.plugin in needed and file.plugin not in self._registry.plugins:
                raise RecordError(explain_not_given(file, folder))

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


def with_key(cell: Cell) -> Cell:
    """Return a cell with the key that follows from it."""
    return cell.model_copy(update={"key": cell_key(cell)})


def describe_changes(recorded: Cell, now: Cell) -> list[str]:
    """Say in what code the cell of a record and the one that runs again for it differ; nothing if they have one key."""
    if recorded.key == now.key:
        return []
    sources = [name for name, code in now.sources.items() if recorded.sources.get(name) != code]
    names = sorted({*recorded.versions, *now.versions})
    versions = [(name, recorded.versions.get(name), now.versions.get(name)) for name in names]
    again = [reason for reason, key in now.upstream.items() if recorded.upstream.get(reason) != key]
    engine = engine_of(recorded) or ENGINE_VERSION
    return [
        *([f"the engine of segbench: {ENGINE_VERSION}, was {engine}"] if engine != ENGINE_VERSION else []),
        *(f"the source code of {name} has changed" for name in sources),
        *(f"{name}: {after}, was {before}" for name, before, after in versions if before != after),
        *(f"{reason} was trained again with such changes" for reason in again),
    ]


def check_key(record: Record) -> None:
    """Raise RecordError unless the key of a record follows from what it says the cell is made of."""
    cell = read_cell(record)
    _check_identity(record, cell)
    if cell_key(cell) != record.key:
        raise _key_error(record)


def _check_identity(record: Record, cell: Cell) -> None:
    told = (cell.key, cell.benchmark, cell.dataset_name, cell.subset, cell.method.name, cell.seed)
    if told != (record.key, record.benchmark, record.dataset, record.subset, record.method, record.seed):
        raise RecordError("its spec is that of another cell")


def _key_error(record: Record) -> RecordError:
    version = record.environment.get("segbench")
    return RecordError(
        f"its key does not follow from its spec; it was made with another engine of segbench"
        f"{f' (version {version})' if version else ''}, or has been changed"
    )


def check_files(cell: Cell) -> None:
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
