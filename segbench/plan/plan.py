"""A benchmark becomes a plan: its cells in the order in which they can run, each with its key.

The datasets of a benchmark, opened, and what identifies their content; missing data is an answer, not an end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segbench.config.protocol import Frozen
from segbench.contract import Dataset
from segbench.errors import DataError, SpecError
from segbench.registry.datasets import open_dataset

from .cell import Cell, Identity, upstream_first
from .key import cache_key, cell_key, file_hashes, fingerprint, folder_hash, required_versions, source_hash
from .warnings import benchmark_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.config.recipe import Benchmark, DatasetUse, Method
    from segbench.contract import Kind
    from segbench.registry import Registry


class Plan(Frozen):
    """The cells of a benchmark, upstream first, and what a reader of its results should be warned of."""

    cells: tuple[Cell, ...]
    warnings: tuple[str, ...] = ()


class Code(NamedTuple):
    """What a component is made of: the hash of its source, and the versions of what it requires."""

    source: str
    versions: dict[str, str]


def build_plan(
    benchmark: Benchmark, registry: Registry, fingerprints: Mapping[str, str | None], *, threads: int
) -> Plan:
    """Return the cells of a benchmark and those that they need (`segbench.plan.cell`), upstream first.

    `fingerprints` holds one for each dataset, None while its data is not at hand: its cells then have no key. `threads`
    is the thread count of the methods whose protocol states none. Raises SpecError if methods wait for each other in a
    circle or for one that does not exist, ComponentError if a library that a component requires is not installed.
    """
    code = _code(benchmark, registry)
    cells: dict[Identity, Cell] = {}
    for identity, needed in upstream_first(benchmark).items():
        bare = _bare_cell(identity, benchmark, fingerprints.get(identity.dataset), threads)
        upstream = {reason: cells[other].key for reason, other in needed.items()}
        cell = bare.model_copy(update={"upstream": upstream, **_made_of(bare, code)})
        cells[identity] = cell.model_copy(update={"key": cell_key(cell)})
    return Plan(cells=tuple(cells.values()), warnings=benchmark_warnings(benchmark))


def _bare_cell(identity: Identity, benchmark: Benchmark, fingerprint: str | None, threads: int) -> Cell:
    return Cell(
        benchmark=benchmark.name,
        dataset_name=identity.dataset,
        dataset=benchmark.datasets[identity.dataset],
        subset=str(identity.subset),
        method=_with_threads(benchmark.methods[identity.method], threads),
        seed=identity.seed,
        for_tuning=benchmark.tune is not None and identity.seed == benchmark.tune.seed,
        fingerprint=fingerprint,
    )


def _with_threads(method: Method, threads: int) -> Method:
    protocol = method.protocol.model_copy(update={"threads": method.protocol.threads or threads})
    return method.model_copy(update={"protocol": protocol})


def _code(benchmark: Benchmark, registry: Registry) -> dict[tuple[Kind, str], Code]:
    """Return what each component of the benchmark is made of, each looked at once."""
    uses = {used for method in benchmark.methods.values() for used in _component_names(method)}
    uses |= {("dataset", dataset.use) for dataset in benchmark.datasets.values()}
    offers = {used: registry.find(*used) for used in sorted(uses)}
    return {used: Code(source_hash(offer), required_versions(offer)) for used, offer in offers.items()}


def _component_names(method: Method) -> list[tuple[Kind, str]]:
    return [(kind, use.use) for kind, use in method.components]


def _made_of(cell: Cell, code: Mapping[tuple[Kind, str], Code]) -> dict[str, object]:
    """Return the fields of a cell that tell what code and data it is made of."""
    dataset = code["dataset", cell.dataset.use]
    used = {("dataset", cell.dataset.use): dataset, **{key: code[key] for key in _component_names(cell.method)}}
    key = None if cell.fingerprint is None else cache_key(cell.dataset, cell.fingerprint, *dataset)
    return {
        "sources": {f"{kind} {name}": made_of.source for (kind, name), made_of in used.items()},
        "versions": {name: version for made_of in used.values() for name, version in made_of.versions.items()},
        "files": _option_files(cell),
        "cache_key": key,
    }


def _option_files(cell: Cell) -> dict[str, str]:
    """Return the hashes of the files and folders that options of the method and its protocol name, by absolute path."""
    options = [value for _, use in cell.method.components for value in use.options.values()]
    values = [value for value in [*options, cell.method.protocol.features.weights] if isinstance(value, str)]
    paths = [Path(value) for value in values if os.path.isabs(value)]
    folders = {path: folder_hash(path) for path in paths if path.is_dir()}
    files = file_hashes(path for path in paths if path.is_file())
    return {str(path): digest for path, digest in {**files, **folders}.items()}


def open_datasets(benchmark: Benchmark, registry: Registry) -> dict[str, Dataset | DataError]:
    """Return for each dataset of the benchmark what was opened, or why it could not be."""
    return {name: _open(use, registry) for name, use in benchmark.datasets.items()}


def take_fingerprints(opened: Mapping[str, Dataset | DataError]) -> dict[str, str | DataError]:
    """Return for each dataset the fingerprint of its content, or why there is none."""
    return {name: _fingerprint(dataset) for name, dataset in opened.items()}


def known(fingerprints: Mapping[str, str | DataError]) -> dict[str, str | None]:
    """Return for each dataset its fingerprint, or None where there is none: what `build_plan` wants."""
    return {name: found if isinstance(found, str) else None for name, found in fingerprints.items()}


def check_tuning(benchmark: Benchmark, opened: Mapping[str, Dataset | DataError]) -> None:
    """Raise SpecError if methods are tuned and an opened dataset has no val split to choose settings by."""
    if not any(method.tuning for method in benchmark.methods.values()):
        return
    for name, dataset in opened.items():
        if isinstance(dataset, Dataset) and "val" not in dataset.splits:
            raise SpecError(
                f"{benchmark.source}: datasets.{name}: methods are tuned on val, but this dataset has no such "
                f"split; it has {', '.join(dataset.splits)}. Give it one, or take tune: out"
            )


def _open(use: DatasetUse, registry: Registry) -> Dataset | DataError:
    try:
        return open_dataset(registry.find("dataset", use.use), use.root, use.options)
    except DataError as error:
        return error


def _fingerprint(dataset: Dataset | DataError) -> str | DataError:
    try:
        return fingerprint(dataset) if isinstance(dataset, Dataset) else dataset
    except DataError as error:
        return error
