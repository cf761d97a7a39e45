"""A plan: the cells of a benchmark in the order in which they can run, each with its key, and the opened datasets."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from segbench.config.benchmark import load_benchmark
from segbench.errors import DataError, SpecError
from segbench.registry import load_registry
from segbench.registry.datasets import dataset_root, open_dataset
from segbench.registry.output import send_output_to_stderr

from .cell import Cell, Identity, sort_upstream_first
from .data import data_warnings
from .folds import check_folds, fold_warnings, keep_folds
from .key import (
    cache_key,
    cell_key,
    file_hashes,
    folder_hash,
    read_content,
    required_versions,
    source_hash,
    write_shared,
)
from .machine import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from segbench.config.recipe import Benchmark, DatasetUse, Method
    from segbench.contract import Dataset, Kind
    from segbench.registry import Registry

Given = TypeVar("Given")
Found = TypeVar("Found")


def open_plan(
    name_or_path: str,
    *,
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    folds: Sequence[int] | None = None,
    threads: int | None = None,
) -> Plan:
    """Load a benchmark by its packaged name or path, open its datasets and plan its cells.

    `sets`, `only` and `seeds` are as in `load_benchmark`, `threads` as in `plan_benchmark`; `folds` are the test folds
    to keep of datasets that are cross-validated. Raises SegbenchError for whatever is wrong; data that cannot be read
    is in `missing`.

        open_plan("quickstart", sets=["protocol.budget.epochs=1"], only=["unet"], seeds=[0])
    """
    registry = load_registry()
    benchmark = load_benchmark(name_or_path, registry, sets=sets, only=only, seeds=seeds)
    plan = plan_benchmark(benchmark, registry, threads=threads)
    return plan if folds is None else replace(plan, cells=keep_folds(plan.cells, folds))


@dataclass(frozen=True)
class Plan:
    """A benchmark, its datasets, and its cells, upstream first.

    `fingerprints` has those of the datasets that can be read; `missing` says why the others cannot. `data_warnings` are
    about the data alone.
    """

    benchmark: Benchmark
    registry: Registry
    datasets: Mapping[str, Dataset]
    fingerprints: Mapping[str, str]
    missing: Mapping[str, DataError]
    cells: tuple[Cell, ...]
    data_warnings: tuple[str, ...] = ()

    def check_data(self) -> None:
        """Raise DataError if a dataset cannot be read."""
        for problem in self.missing.values():
            raise problem


def plan_benchmark(benchmark: Benchmark, registry: Registry, *, threads: int | None = None) -> Plan:
    """Open the datasets of a benchmark and plan its cells.

    `threads` is the thread count of methods whose protocol states none, by default that of usable cores. Raises
    SpecError if methods are tuned and a dataset has no val split, if one cannot be divided into its folds, and what
    `plan_cells` raises.
    """
    with send_output_to_stderr():
        datasets, not_opened = _try_each(partial(_open, registry), benchmark.datasets)
        _check_tuning(benchmark, datasets)
        check_folds(benchmark, datasets)
        contents, not_read = _try_each(read_content, datasets)
        warnings = [
            f"{name}: {warning}"
            for name, content in contents.items()
            for warning in (
                *data_warnings(datasets[name], content, benchmark.datasets[name].folds),
                *fold_warnings(benchmark.datasets[name], datasets[name]),
            )
        ]
    fingerprints = {name: content.fingerprint for name, content in contents.items()}
    # Workers have working folders of their own.
    absolute = {name: _with_absolute_root(benchmark.datasets[name], registry) for name in datasets}
    located = benchmark.model_copy(update={"datasets": {**benchmark.datasets, **absolute}})
    cells = plan_cells(located, registry, fingerprints, threads=threads or usable_cores())
    return Plan(benchmark, registry, datasets, fingerprints, {**not_opened, **not_read}, cells, tuple(warnings))


def _try_each(
    function: Callable[[Given], Found], given: Mapping[str, Given]
) -> tuple[dict[str, Found], dict[str, DataError]]:
    """Call a function for each name; return its results, and the DataErrors that it raised."""
    found: dict[str, Found] = {}
    errors: dict[str, DataError] = {}
    for name, value in given.items():
        try:
            found[name] = function(value)
        except DataError as error:
            errors[name] = error
    return found, errors


def _open(registry: Registry, use: DatasetUse) -> Dataset:
    return open_dataset(registry.find("dataset", use.use), use.root, use.options)


def _check_tuning(benchmark: Benchmark, datasets: Mapping[str, Dataset]) -> None:
    if not any(method.tuning for method in benchmark.methods.values()):
        return
    for name, dataset in datasets.items():
        folds = benchmark.datasets[name].folds
        if "val" not in dataset.splits and not (folds and folds.val):
            raise SpecError(
                f"{benchmark.source}: datasets.{name}: methods are tuned on val, but this dataset has no such "
                f"split; it has {', '.join(dataset.splits)}. Give it one, or remove tune:"
            )


def _with_absolute_root(use: DatasetUse, registry: Registry) -> DatasetUse:
    root = dataset_root(registry.find("dataset", use.use), use.root)
    return use.model_copy(update={"root": None if root is None else str(root.absolute())})


def plan_cells(
    benchmark: Benchmark, registry: Registry, fingerprints: Mapping[str, str], *, threads: int
) -> tuple[Cell, ...]:
    """Return the cells of a benchmark and those that they need (`segbench.plan.cell`), upstream first.

    Cells of a dataset without a fingerprint have no key. `threads` is the thread count of methods whose protocol states
    none. Raises SpecError for cyclic references and for a method that does not exist, ComponentError if a component
    requires a library that is not installed.
    """
    uses = {used for method in benchmark.methods.values() for used in _component_names(method)}
    uses |= {("dataset", dataset.use) for dataset in benchmark.datasets.values()}
    code = read_code(uses, registry)
    cells: dict[Identity, Cell] = {}

    @cache
    def share(dataset: str, method: str) -> tuple[Cell, dict[str, str]]:
        bare = _bare_cell(dataset, method, benchmark, fingerprints.get(dataset), threads)
        made = bare.model_copy(update={**describe_code(bare, code), "files": _option_files(bare)})
        return made, write_shared(made)

    for identity, needed in sort_upstream_first(benchmark).items():
        made, shared = share(identity.dataset, identity.method)
        own = {
            "subset": str(identity.subset),
            "seed": identity.seed,
            "for_tuning": benchmark.tune is not None and identity.seed == benchmark.tune.seed,
            "upstream": {reason: cells[other].key for reason, other in needed.items()},
        }
        cell = made.model_copy(update=own)
        cells[identity] = cell.model_copy(update={"key": cell_key(cell, shared=shared)})
    return tuple(cells.values())


def _bare_cell(dataset: str, method: str, benchmark: Benchmark, fingerprint: str | None, threads: int) -> Cell:
    """Return what all cells of a method on a dataset share."""
    recipe = benchmark.methods[method]
    return Cell(
        benchmark=benchmark.name,
        dataset_name=dataset,
        dataset=benchmark.datasets[dataset],
        method=recipe.with_protocol(threads=recipe.protocol.threads or threads),
        seed=0,
        attribution=benchmark.attribution,
        origin=benchmark.origin,
        fingerprint=fingerprint,
    )


class Code(NamedTuple):
    """What a component is made of: the hash of its source, and the versions of what it requires."""

    source: str
    versions: dict[str, str]


def read_code(uses: Iterable[tuple[Kind, str]], registry: Registry) -> dict[tuple[Kind, str], Code]:
    """Return what components, by kind and full name, are made of, each looked at once.

    Raises ComponentError for one that is not there, or that requires a library that is not installed.
    """
    offers = {used: registry.find(*used) for used in sorted(set(uses))}
    return {used: Code(source_hash(offer), required_versions(offer)) for used, offer in offers.items()}


def component_uses(cell: Cell) -> list[tuple[Kind, str]]:
    """Return kind and full name of all components of a cell, its dataset first."""
    return [("dataset", cell.dataset.use), *_component_names(cell.method)]


def _component_names(method: Method) -> list[tuple[Kind, str]]:
    return [(kind, use.use) for kind, use in method.components]


def describe_code(cell: Cell, code: Mapping[tuple[Kind, str], Code]) -> dict[str, object]:
    """Return the fields of a cell that tell what code it is made of, and what its decoded data is called."""
    dataset = code["dataset", cell.dataset.use]
    used = {key: code[key] for key in component_uses(cell)}
    key = None if cell.fingerprint is None else cache_key(cell.dataset, cell.fingerprint, *dataset)
    return {
        "sources": {f"{kind} {name}": made_of.source for (kind, name), made_of in used.items()},
        "versions": {name: version for made_of in used.values() for name, version in made_of.versions.items()},
        "cache_key": key,
    }


def _option_files(cell: Cell) -> dict[str, str]:
    """Return the hashes of the files and folders that options of the method and its protocol name, by absolute path."""
    options = [value for _, use in cell.method.components for value in use.options.values()]
    values = [value for value in [*options, cell.method.protocol.features.weights] if isinstance(value, str)]
    paths = [Path(value) for value in values if os.path.isabs(value)]
    try:
        folders = {path: folder_hash(path) for path in paths if path.is_dir()}
        files = file_hashes(path for path in paths if path.is_file())
    except OSError as error:
        raise SpecError(f"{error.filename}, which an option names, cannot be read: {error.strerror}") from error
    return {str(path): digest for path, digest in {**files, **folders}.items()}
