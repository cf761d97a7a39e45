"""A dataset of the hub as it lies in a folder: image files, label files, and a note of where they are from."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - part of a NamedTuple's fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic_core import from_json

from segbench import DataError, Sample
from segbench.images import read_image, read_mask
from segbench.images.files import files_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.images import Reading as FileReading

# Written last: a folder without it is not complete.
NOTE = "hf_dataset.json"

IMAGES, LABELS = "images", "labels"

AGAIN = "run `segbench prepare hf/dataset` with its options and another root"


class Request(NamedTuple):
    """What is to be streamed: options of hf/dataset."""

    repo: str
    config: str | None
    revision: str
    splits: Mapping[str, str] | None
    image: str
    labels: str


class Stored(NamedTuple):
    """The files of each split, image and labels of each sample, and what the dataset says of itself."""

    pairs: dict[str, list[tuple[Path, Path]]]
    licence: str
    citation: str


class Reading(NamedTuple):
    """How the files become samples: options of hf/dataset."""

    channels: int
    ignore_index: int
    reduce_zero_label: bool
    files: FileReading


class StoredSplit:
    """The samples of one split, decoded one at a time when asked for."""

    def __init__(self, split: str, pairs: Sequence[tuple[Path, Path]], reading: Reading) -> None:
        self.ids = tuple(f"{split}_{image.stem}" for image, _ in pairs)
        self.files = tuple(pairs)
        self._reading = reading

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        image, labels = self.files[index]
        pixels = read_image(image, self._reading.channels, self._reading.files)
        return Sample(pixels, _labels(labels, self._reading), self.ids[index])


def is_path(repo: str) -> bool:
    """Tell whether a dataset is written as a path, which no name on the hub looks like.

    >>> is_path("./mine"), is_path("zhoubolei/scene_parse_150")
    (True, False)
    """
    return repo.startswith((".", "~", "/", "\\"))


def open_stored(root: Path, request: Request) -> Stored:
    """Return what lies in a folder; DataError if it is not complete or of something else than what is asked for."""
    note = _read_note(root)
    _check_asked(root, request._asdict(), note["asked"])
    pairs = {split: _pairs(root / split, count) for split, count in note["images"].items()}
    return Stored(pairs, str(note["licence"]), str(note["citation"]))


def _read_note(root: Path) -> dict[str, Any]:
    try:
        note = from_json((root / NOTE).read_bytes())
        if {"asked", "images", "licence", "citation"} <= note.keys():
            return note
        raise ValueError("entries are missing")
    except FileNotFoundError as error:
        raise DataError(f"{root}: there is no {NOTE}, so no dataset was streamed to it completely; {AGAIN}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{root / NOTE}: cannot be read ({error}); {AGAIN}") from error


def _check_asked(root: Path, asked: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    for name, value in asked.items():
        # A local folder may be found elsewhere later, and splits that are not named are those that were found.
        if (name == "repo" and is_path(value) and is_path(held["repo"])) or (name == "splits" and value is None):
            continue
        if held.get(name) != value:
            raise DataError(f"{root}: was prepared with {name}: {held.get(name)}, not {value}; {AGAIN}")


def _pairs(folder: Path, count: int) -> list[tuple[Path, Path]]:
    images, labels = (_by_stem(folder / part) for part in (IMAGES, LABELS))
    if len(images) != count or images.keys() != labels.keys():
        raise DataError(f"{folder}: {len(images)} images and {len(labels)} label maps, not {count} of each; {AGAIN}")
    return [(images[stem], labels[stem]) for stem in images]


def _by_stem(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in files_in(folder)} if folder.is_dir() else {}


def _labels(file: Path, reading: Reading) -> NDArray[Any]:
    pixels = read_mask(file, reading.files)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise DataError(f"{file}: labels in colour; hf/dataset reads class ids, in one channel")
        pixels = pixels[..., 0]
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise DataError(
            f"{file}: labels of type {pixels.dtype} from {pixels.min()} to {pixels.max()}; ids are 0 to 65535"
        )
    ids = pixels.astype(np.int64)
    if reading.reduce_zero_label:
        ids = np.where((ids == 0) | (ids == reading.ignore_index), reading.ignore_index, ids - 1)
    return ids.astype(np.uint8 if ids.max() <= 0xFF else np.uint16)
