"""What identifies the content of a dataset, wherever its files lie."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast

from segbench.errors import DataError

from .file_hashes import file_hashes

if TYPE_CHECKING:
    from segbench.contracts import Dataset, FileSplit, Sample, Split


def fingerprint(dataset: Dataset) -> str:
    """Return 32 hex digits that change when a class, an id or a pixel of the dataset may have changed.

    A split that names its files is identified by its ids and the bytes of the files, any other by its decoded samples.
    File names, folders and times do not count. Raises DataError for a file that is missing or cannot be read.
    """
    content = {
        "classes": list(dataset.classes),
        "palette": [[int(value) for value in colour] for colour in dataset.palette],
        "ignore_index": dataset.ignore_index,
        "channels": dataset.channels,
        "splits": {name: _split_content(name, split) for name, split in dataset.splits.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _split_content(name: str, split: Split) -> list[list[str]]:
    """Return for each sample its id and the hashes of what it is made of."""
    if hasattr(split, "files"):
        return _file_content(name, cast("FileSplit", split))
    return [_sample_content(split[index]) for index in range(len(split))]


def _file_content(name: str, split: FileSplit) -> list[list[str]]:
    try:
        hashes = file_hashes(path for paths in split.files for path in paths)
    except OSError as error:
        raise DataError(f"split {name!r} needs {error.filename}, which cannot be read: {error.strerror}") from error
    return [[sample, *(hashes[path] for path in paths)] for sample, paths in zip(split.ids, split.files, strict=True)]


def _sample_content(sample: Sample) -> list[str]:
    import numpy as np

    hashes = []
    for array in (sample.image, sample.labels):
        digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
        hashes.append(digest.hexdigest())
    return [sample.id, *hashes]
