"""The datasets of a benchmark, opened, and what identifies their content; missing data is an answer, not an end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.contracts import Dataset
from segbench.errors import DataError, SpecError
from segbench.registry.datasets import open_dataset

from .fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.registry import Registry
    from segbench.spec.recipe import Benchmark, DatasetUse


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
