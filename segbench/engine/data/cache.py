"""The cache of decoded splits, in the cache folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from typing import TYPE_CHECKING, Literal

import numpy as np

from segbench.errors import DataError
from segbench.plan.cache_folder import cache_folder

from .packed import IMAGES, INDEX, LABELS, PackedIndex, PackedSplit, open_packed
from .samples import checked_samples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from segbench.contracts import Dataset

TEMPORARY = ".packing-"

# No packing takes a day: a temporary folder this old was left by a process that was killed.
ABANDONED_SECONDS = 86_400.0

# Other processes may put their own packed split in the same place meanwhile.
ATTEMPTS = 5


def pack(dataset: Dataset, split: str, cache_key: str) -> PackedSplit:
    """Open the packed form of a split; decode, check and write it first where the cache has none that is whole.

    `cache_key` identifies the decoded content of the dataset. Any number of processes may do this at once.
    Raises DataError for a sample that is malformed (see `checked_samples`) and for a cache that cannot be written.
    """
    folder = cache_folder() / "packed" / cache_key / split
    packed = _open(dataset, split, folder)
    if packed is None:
        try:
            _build(dataset, split, folder)
        except OSError as error:
            raise DataError(
                f"cannot write the cache of decoded images in {folder.parent}: {error.strerror or error}; "
                "make room there, or set SEGBENCH_CACHE to a folder that can be written"
            ) from error
        packed = _open(dataset, split, folder)
    if packed is None:
        raise DataError(f"the cache of decoded images in {folder} was changed while it was written; run it again")
    return packed


def _open(dataset: Dataset, split: str, folder: Path) -> PackedSplit | None:
    """Open a packed split; None if it is missing, damaged, or not of this dataset."""
    packed = open_packed(folder)
    if packed is None or split not in dataset.splits:
        return None
    found = (len(packed), packed.num_classes, packed.ignore_index, packed.channels)
    wanted = (len(dataset.splits[split]), len(dataset.classes), dataset.ignore_index, dataset.channels)
    return packed if found == wanted else None


def _build(dataset: Dataset, split: str, folder: Path) -> None:
    """Write the packed split into a temporary folder, then move it to its place in one go."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    temporary = folder.with_name(TEMPORARY + uuid.uuid4().hex)
    temporary.mkdir()
    try:
        write_packed(dataset, split, temporary)
        _move_into_place(temporary, dataset, split, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    oldest = time.time() - ABANDONED_SECONDS
    for folder in parent.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def write_packed(dataset: Dataset, split: str, folder: Path) -> None:
    """Decode and check a split, and write its flat files and their index into an empty folder."""
    index = _write_flat_files(dataset, split, folder)
    with _synced_file(folder / INDEX) as file:
        file.write(index.model_dump_json().encode())


def _write_flat_files(dataset: Dataset, split: str, folder: Path) -> PackedIndex:
    """Write images and labels, holding a few samples in memory at a time, and return what was written."""
    highest_label = max(len(dataset.classes) - 1, dataset.ignore_index)
    label_dtype: Literal["uint8", "uint16"] = "uint8" if highest_label < 256 else "uint16"
    ids: list[str] = []
    sizes: list[tuple[int, int]] = []
    class_pixels = np.zeros(len(dataset.classes), dtype=np.int64)
    with _synced_file(folder / IMAGES) as images, _synced_file(folder / LABELS) as labels:
        for sample in checked_samples(dataset, split):
            images.write(np.ascontiguousarray(sample.image.transpose(2, 0, 1)).data)
            labels.write(np.ascontiguousarray(sample.labels, dtype=label_dtype).data)
            ids.append(sample.id)
            sizes.append(sample.labels.shape)
            counted = sample.labels[sample.labels != dataset.ignore_index]
            class_pixels += np.bincount(counted, minlength=len(class_pixels))
            image_dtype = sample.image.dtype.name
    return PackedIndex(
        split=split,
        ids=tuple(ids),
        sizes=tuple(sizes),
        channels=dataset.channels,
        image_dtype=image_dtype,
        label_dtype=label_dtype,
        num_classes=len(dataset.classes),
        ignore_index=dataset.ignore_index,
        class_pixels=tuple(class_pixels.tolist()),
    )


@contextlib.contextmanager
def _synced_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write whose content has reached the disk at the end, before any later renaming."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _move_into_place(temporary: Path, dataset: Dataset, split: str, folder: Path) -> None:
    """Rename `temporary` to `folder`; what is there already stays if it is whole, else it is moved away first."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            os.replace(temporary, folder)
            return
        except OSError:
            if _open(dataset, split, folder) is not None:
                return
            if attempt == ATTEMPTS:
                raise
        _move_away(folder, temporary.with_name(f"{temporary.name}-{attempt}"))


def _move_away(damaged: Path, elsewhere: Path) -> None:
    """Remove what may be damaged in any way, in one move for whoever looks at its place."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(damaged, elsewhere)
        if elsewhere.is_dir():
            shutil.rmtree(elsewhere, ignore_errors=True)
        else:
            elsewhere.unlink()
