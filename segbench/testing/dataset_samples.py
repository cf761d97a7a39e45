"""The samples of a dataset that checks look at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from segbench.contracts import Sample
from segbench.engine.data.cache import write_packed
from segbench.engine.data.packed import open_packed
from segbench.errors import DataError
from segbench.plan.file_hashes import file_hashes
from segbench.registry.datasets import dataset_root

from .check import CheckSkipped
from .dataset_facts import content_of, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from segbench.contracts import Dataset, FileSplit, Split
    from segbench.engine.data.packed import PackedSplit
    from segbench.registry import Offer

    # Name of the split and index of the sample.
    Index = tuple[str, int]

# An image takes some ten milliseconds to decode, so that more would take minutes.
MOST_IMAGES = 1000
THREADS = 4


class Place(NamedTuple):
    """A sample and where it stands; `files` are those that it is read from, where its split tells."""

    split: str
    number: int
    sample: Sample
    files: Sequence[Path]

    def __str__(self) -> str:
        return f"{self.split} sample {self.sample.id!r}"


class SomeSamples:
    """Some samples of a split, evenly spread, as a split."""

    def __init__(self, split: Split) -> None:
        self._split, self._indices = split, spread(split)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> Sample:
        return self._split[self._indices[index]]


def require_files(offer: Offer) -> None:
    """Raise CheckSkipped, saying where a dataset's folder is looked for, if it is not there."""
    try:
        root = dataset_root(offer, None)
    except DataError as error:
        raise CheckSkipped(f"its files are not here: {error}") from error
    if root is not None and not root.is_dir():
        raise CheckSkipped(f"its files are not here: there is no folder {root} ($SEGBENCH_DATA/{root.name})")


def read_some(dataset: Dataset) -> Iterator[Place]:
    """Read some samples of each split, evenly spread."""
    for name, split in dataset.splits.items():
        files = getattr(split, "files", None)
        for index in spread(split):
            yield Place(name, index, Sample(*split[index]), files[index] if files else ())


def packed_sample(dataset: Dataset, name: str, folder: Path) -> PackedSplit:
    """Decode some samples of a split into an empty folder; DataError for one that is malformed."""
    write_packed(replace(dataset, splits={name: SomeSamples(dataset.splits[name])}), name, folder)
    packed = open_packed(folder)
    assert packed is not None, "it has just been written"
    return packed


def image_contents(dataset: Dataset) -> dict[str, dict[str, str]]:
    """Return for each split the ids of its samples by the content of their images, as far as it can be in two splits.

    Of a dataset of more than 1000 images, those are compared that are read from files with the same bytes as files of
    another split, or, where it names no files, 1000 that are evenly spread.
    """
    contents: dict[str, dict[str, str]] = {name: {} for name in dataset.splits}
    indices = _suspects(dataset)
    threads = THREADS if _names_files(dataset) else 1
    with ThreadPoolExecutor(threads) as pool:
        for (name, _), (content, sample) in zip(indices, pool.map(partial(_content, dataset), indices), strict=True):
            contents[name][content] = sample
    return contents


def _suspects(dataset: Dataset) -> list[Index]:
    everything = [(name, index) for name, split in dataset.splits.items() for index in range(len(split))]
    if len(everything) > MOST_IMAGES and _names_files(dataset):
        everything = _sharing_bytes(dataset, everything)
    return [everything[place] for place in spread(everything, MOST_IMAGES)]


def _names_files(dataset: Dataset) -> bool:
    return all(hasattr(split, "files") for split in dataset.splits.values())


def _sharing_bytes(dataset: Dataset, indices: Sequence[Index]) -> list[Index]:
    """Return the samples that are read from a file with the bytes of a file of another split."""
    files = {(name, index): cast("FileSplit", dataset.splits[name]).files[index] for name, index in indices}
    hashes = file_hashes(path for paths in files.values() for path in paths)
    splits: dict[str, set[str]] = {}
    for (name, _), paths in files.items():
        for path in paths:
            splits.setdefault(hashes[path], set()).add(name)
    return [index for index, paths in files.items() if any(len(splits[hashes[path]]) > 1 for path in paths)]


def _content(dataset: Dataset, index: Index) -> tuple[str, str]:
    name, place = index
    sample = Sample(*dataset.splits[name][place])
    return content_of(sample.image), sample.id
