"""Decode and check the samples of a dataset component."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.contract import Sample
from segbench.errors import DataError, SegbenchError, alternatives, list_some
from segbench.images.notes import noting
from segbench.images.opening import pixel_count
from segbench.images.pixels import row_bands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.contract import Dataset, Split
    from segbench.images.notes import FileNote


DTYPES = ("uint8", "uint16")

# More decoding threads than this only queue for the disk.
MOST_THREADS = 16
# Several samples are held at a time as long as they have no more pixels than this.
MOST_PIXELS = 64_000_000


def read_samples(dataset: Dataset, split: str) -> Iterator[Sample]:
    """Yield every sample of a split; see `read_with_notes`."""
    return (sample for sample, _ in read_with_notes(dataset, split))


def read_with_notes(dataset: Dataset, split: str) -> Iterator[tuple[Sample, Sequence[FileNote]]]:
    """Yield every sample of a split in order, with its image as (H, W, C), and what its files were noted for.

    Raises DataError, naming the sample and its files, for an unknown or empty split and for a sample that cannot be
    read, repeats an id, has another dtype, size or number of channels than it should, or holds a label that is neither
    a class id nor ignore_index.
    """
    samples = _find_split(dataset, split)
    first_use: dict[str, int] = {}
    image_dtype = None
    for index, (sample, notes) in enumerate(_decode(samples, split)):
        where = _locate(samples, split, index, sample.id)
        if first_use.setdefault(sample.id, index) != index:
            raise DataError(
                f"{where} has the id of sample {first_use[sample.id]}; every id must be unique in its split"
            )
        check_arrays(sample, where, dataset)
        image_dtype = image_dtype or sample.image.dtype
        if sample.image.dtype != image_dtype:
            raise DataError(
                f"{where} is {sample.image.dtype}, the images before it are {image_dtype}; convert all to one of them"
            )
        check_labels(sample.labels, where, dataset)
        yield sample._replace(image=sample.image.reshape(*sample.labels.shape, dataset.channels)), notes


def _find_split(dataset: Dataset, split: str) -> Split:
    if split not in dataset.splits:
        missing = f"the dataset has no split {split!r}.{alternatives(split, dataset.splits)}"
        raise DataError(missing).among(dataset.splits)
    samples = dataset.splits[split]
    if len(samples) == 0:
        raise DataError(f"split {split!r} is empty; it needs at least one image with its labels")
    return samples


def _decode(samples: Split, split: str) -> Iterator[tuple[Sample, Sequence[FileNote]]]:
    """Yield the samples in order; those read from files are decoded by several threads, a few images ahead."""
    read = partial(_read, samples, split)
    if not hasattr(samples, "files"):
        yield from map(read, range(len(samples)))
        return
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        for batch in _batches(samples.files, 2 * threads):
            yield from pool.map(read, batch)


def _batches(files: Sequence[tuple[Path, ...]], most: int) -> Iterator[list[int]]:
    """Yield the indices of samples in order, so many at a time as may be in memory."""
    batch: list[int] = []
    pixels = 0
    for index, paths in enumerate(files):
        size = max(map(pixel_count, paths))
        if batch and (len(batch) == most or pixels + size > MOST_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(index)
        pixels += size
    yield batch


def _read(samples: Split, split: str, index: int) -> tuple[Sample, Sequence[FileNote]]:
    try:
        with noting() as notes:
            return Sample(*samples[index]), notes
    except (SegbenchError, MemoryError):
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise DataError(f"{_locate(samples, split, index)} cannot be read: {cause}") from error


def _locate(samples: Split, split: str, index: int, name: str | None = None) -> str:
    """Say which sample is meant: its split, id or else position, and files."""
    files = getattr(samples, "files", None)
    which = repr(name) if name is not None else str(index)
    return f"{split} sample {which}" + (f" ({', '.join(map(str, files[index]))})" if files else "")


def check_arrays(sample: Sample, where: str, dataset: Dataset) -> None:
    """Refuse wrong dtypes, numbers of dimensions and channels, and sizes that differ."""
    if not isinstance(sample.id, str):
        raise DataError(f"{where} has an id of type {type(sample.id).__name__}; an id must be a text")
    for name, array in (("image", sample.image), ("labels", sample.labels)):
        dtype = str(getattr(array, "dtype", type(array).__name__))
        if not isinstance(array, np.ndarray) or dtype not in DTYPES:
            raise DataError(f"{where}: its {name} is {dtype}; allowed are arrays of {' and '.join(DTYPES)}")
    if sample.image.ndim not in (2, 3) or sample.labels.ndim != 2:
        shapes = f"image {sample.image.shape}, labels {sample.labels.shape}"
        raise DataError(f"{where} has the shapes {shapes}; allowed are (H, W) or (H, W, C) and (H, W)")
    channels = 1 if sample.image.ndim == 2 else sample.image.shape[2]
    if channels != dataset.channels:
        raise DataError(f"{where}: its image has {channels} channels; the dataset declares {dataset.channels}")
    if sample.image.shape[:2] != sample.labels.shape:
        image, labels = (f"{shape[1]} x {shape[0]}" for shape in (sample.image.shape, sample.labels.shape))
        raise DataError(f"{where}: its image is {image} pixels, its labels are {labels}; the sizes must agree")
    if sample.labels.size == 0:
        raise DataError(f"{where} has no pixels")


def count_labels(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many pixels of an image have each label, from 0 to the highest one.

    Rows are counted in bands: counting makes eight bytes of each pixel.
    """
    counts = np.zeros(int(labels.max()) + 1, dtype=np.int64)
    for rows in row_bands(*labels.shape):
        counts += np.bincount(labels[rows].ravel(), minlength=len(counts))
    return counts


def check_labels(labels: NDArray[np.generic], where: str, dataset: Dataset) -> None:
    """Refuse labels that are neither a class id nor ignore_index."""
    present = np.flatnonzero(count_labels(labels))
    wrong = [value for value in present.tolist() if value >= len(dataset.classes) and value != dataset.ignore_index]
    if wrong:
        allowed = f"0 to {len(dataset.classes) - 1}, or {dataset.ignore_index} for ignored pixels"
        named = list_some([str(value) for value in wrong])
        raise DataError(f"{where}: its labels contain {named}; allowed are the class ids {allowed}")


def clusters_of(dataset: Dataset, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Return the group of each image by its id; None if the dataset has no groups.

    Raises DataError where its `cluster` returns something else than the name of a group.
    """
    if dataset.cluster is None:
        return None
    clusters = tuple(dataset.cluster(one) for one in ids)
    for one, cluster in zip(ids, clusters, strict=True):
        if not isinstance(cluster, str) or not cluster:
            raise DataError(
                f"the dataset's cluster function returned {cluster!r} for the image {one!r}; it must return the name "
                "of a group, a text that is not empty. Correct it in the dataset's plugin, or give cluster=None"
            )
    return clusters
