"""The cache of decoded splits: each is decoded and checked once, kept in two flat files, and opened memory-mapped."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from segbench.checksum import UNSEALED, check_seal, seal
from segbench.config.frozen import Frozen
from segbench.errors import DataError
from segbench.plan.machine import cache_folder
from segbench.registry.output import send_output_to_stderr
from segbench.store.json_file import read_json, sealed_json

from .contents import ContentsCounter, SplitContents
from .resizing import resized_dataset
from .samples import count_labels, read_with_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray
    from torch import Tensor

    from segbench.config.resize import Resize
    from segbench.contract import Dataset
    from segbench.plan.cell import Cell

    Flat = TypeVar("Flat", NDArray[Any], Tensor)


INDEX, IMAGES, LABELS = "index.json", "images.bin", "labels.bin"
_TEMPORARY = ".packing-"

# No packing takes a day: a temporary folder this old was left by a process that was killed.
_ABANDONED_SECONDS = 86_400.0

# How often a finished split is moved to its place: other processes may put theirs there in between.
_ATTEMPTS = 5


def print_notice(message: str) -> None:
    """Print a notice on stderr."""
    print(message, file=sys.stderr)


def pack(dataset: Dataset, split: str, cache_key: str, notice: Callable[[str], None] = print_notice) -> PackedSplit:
    """Open a split in the cache; decode, check and write it first where the cache has no undamaged one.

    All bytes of the split are read and compared with their checksums; damage is told to `notice`. `cache_key`
    identifies the decoded content of the dataset. Any number of processes may do this at once. Raises DataError for a
    sample that is malformed (see `read_samples`) and for a cache that cannot be written.
    """
    folder = _folder_of(split, cache_key)
    if folder.exists() and (fault := _find_fault(dataset, split, folder)) is not None:
        notice(f"{fault}; the split is decoded anew")
        _build(dataset, split, folder)
    return open_split(dataset, split, cache_key)


def open_split(dataset: Dataset, split: str, cache_key: str) -> PackedSplit:
    """Open a split as `pack` does, but without comparing checksums: for the workers of a run, which has packed it."""
    folder = _folder_of(split, cache_key)
    packed = _open(dataset, split, folder)
    if packed is None:
        _build(dataset, split, folder)
        packed = _open(dataset, split, folder)
    if packed is None:
        raise DataError(f"the cache of decoded images in {folder} was changed while it was written; run it again")
    return packed


def pack_resized(
    dataset: Dataset, split: str, cache_key: str, resize: Resize, notice: Callable[[str], None] = print_notice
) -> PackedSplit:
    """Open a split whose images and labels are resized as `pack` does; it is made of the packed split."""
    return pack(*_resize(dataset, split, cache_key, resize), notice)


def open_resized(dataset: Dataset, split: str, cache_key: str, resize: Resize) -> PackedSplit:
    """Open a resized split without comparing checksums, as `open_split` does."""
    return open_split(*_resize(dataset, split, cache_key, resize))


def _resize(dataset: Dataset, split: str, cache_key: str, resize: Resize) -> tuple[Dataset, str, str]:
    resized, key = resized_dataset(dataset, open_split(dataset, split, cache_key), cache_key, resize)
    return resized, split, key


def _folder_of(split: str, cache_key: str) -> Path:
    return cache_folder() / "packed" / cache_key / split


def decode_splits(
    cells: Iterable[Cell], datasets: Mapping[str, Dataset], notice: Callable[[str], None] = print_notice
) -> None:
    """Decode into the cache every split that these cells use, of the given datasets.

    Damage, and what was left out of masks, is told to `notice`. Raises DataError for a wrong sample.
    """
    uses: dict[tuple[str, str, str], set[Resize]] = {}
    for cell in cells:
        if cell.dataset_name in datasets:
            assert cell.cache_key is not None, "cells of opened data have one"
            for split in _splits_of(cell, datasets[cell.dataset_name]):
                sizes = uses.setdefault((cell.dataset_name, cell.cache_key, split), set())
                sizes.update(filter(None, [cell.method.protocol.resize]))
    with send_output_to_stderr():
        for (name, cache_key, split), sizes in uses.items():
            packed = pack(datasets[name], split, cache_key, notice)
            for remark in packed.contents.remarks:
                if remark.kind == "mask":
                    notice(f"{name} {split}: {remark}")
            for resize in sizes:
                pack_resized(datasets[name], split, cache_key, resize, notice)


def _splits_of(cell: Cell, dataset: Dataset) -> tuple[str, ...]:
    protocol, folds = cell.method.protocol, cell.dataset.folds
    used = ("train", *(["val"] if protocol.validations else []), protocol.evaluate)
    if folds is None:
        return used
    return (*folds.splits_in(dataset.splits), *(["val"] if "val" in used and not folds.val else []))


class PackedIndex(Frozen):
    """What the flat files hold: the images (C, H, W) one after the other, and likewise the labels (H, W).

    `sizes` are [height, width] by image, `class_pixels` the labelled pixels by class. A split without
    `contents` was written by an older version, and is decoded anew.
    """

    format: Literal["segbench packed split 1"] = "segbench packed split 1"
    split: str
    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    channels: int
    image_dtype: Literal["uint8", "uint16"]
    label_dtype: Literal["uint8", "uint16"]
    num_classes: int
    ignore_index: int
    class_pixels: tuple[int, ...]
    contents: SplitContents | None = None


@dataclass(frozen=True, eq=False)
class PackedSplit:
    """The decoded samples of one split; `pixels` and `label_pixels` are the flat files in `folder`, if in any.

    The arrays are memory-mapped copy-on-write: writing to one changes no file.
    """

    index: PackedIndex
    pixels: NDArray[Any]
    label_pixels: NDArray[Any]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def split(self) -> str:
        """The name of the split."""
        return self.index.split

    @property
    def ids(self) -> tuple[str, ...]:
        """The sample ids."""
        return self.index.ids

    @property
    def channels(self) -> int:
        """The number of image channels."""
        return self.index.channels

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.index.num_classes

    @property
    def ignore_index(self) -> int:
        """The label of pixels that do not count."""
        return self.index.ignore_index

    @property
    def contents(self) -> SplitContents:
        """What was seen while it was decoded."""
        assert self.index.contents is not None, "a split without is decoded anew"
        return self.index.contents

    @property
    def image_digests(self) -> list[tuple[str, str]]:
        """The id of each image and the hash of its pixels."""
        return list(zip(self.ids, self.contents.digests, strict=True))

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """The dtype of the images: uint8 or uint16."""
        return self.pixels.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of all images and labels."""
        return self.pixels.nbytes + self.label_pixels.nbytes

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width by image, (n, 2)."""
        return np.array(self.index.sizes, dtype=np.int64)

    @cached_property
    def offsets(self) -> list[int]:
        """The number of label pixels before each image."""
        areas = self.sizes.prod(axis=1)
        return [int(offset) for offset in np.cumsum(areas) - areas]

    def image(self, index: int) -> NDArray[Any]:
        """Return one image, (C, H, W)."""
        return self.cut_image(self.pixels, index)

    def labels(self, index: int) -> NDArray[Any]:
        """Return one label map, (H, W)."""
        return self.cut_labels(self.label_pixels, index)

    def cut_image(self, pixels: Flat, index: int) -> Flat:
        """Return one image (C, H, W) of a flat array or tensor that holds `self.pixels`; nothing is copied."""
        height, width = self.index.sizes[index]
        start = self.channels * self.offsets[index]
        return pixels[start : start + self.channels * height * width].reshape(self.channels, height, width)

    def cut_labels(self, label_pixels: Flat, index: int) -> Flat:
        """Return one label map (H, W) of a flat array or tensor that holds `self.label_pixels`; nothing is copied."""
        height, width = self.index.sizes[index]
        start = self.offsets[index]
        return label_pixels[start : start + height * width].reshape(height, width)

    def class_pixels(self) -> NDArray[np.int64]:
        """Return the number of labelled pixels by class, (K,); ignored pixels are not counted."""
        return np.array(self.index.class_pixels, dtype=np.int64)

    @cached_property
    def image_class_pixels(self) -> NDArray[np.int64]:
        """The number of labelled pixels of each image by class, (n, K); reads all labels once."""
        pixels = np.zeros((len(self), self.num_classes), dtype=np.int64)
        for index in range(len(self)):
            counts = count_labels(self.labels(index))[: self.num_classes]
            pixels[index, : len(counts)] = counts
        return pixels


def open_packed(folder: Path) -> PackedSplit | None:
    """Open a packed split; None if it is missing, of another format or damaged."""
    try:
        index = PackedIndex.model_validate(read_json(folder / INDEX, at_most=None))
        area = sum(height * width for height, width in index.sizes)
        pixels = _map(folder / IMAGES, index.image_dtype, index.channels * area)
        label_pixels = _map(folder / LABELS, index.label_dtype, area)
    except (OSError, ValueError):
        return None
    return PackedSplit(index, pixels, label_pixels, folder) if len(index.ids) == len(index.sizes) else None


def _map(path: Path, dtype: str, length: int) -> NDArray[Any]:
    """Return the numbers of a flat file, memory-mapped; ValueError if it holds fewer or more of them."""
    beyond = path.stat().st_size - length * np.dtype(dtype).itemsize
    if beyond not in (0, len(UNSEALED)):  # older versions wrote no seal
        raise ValueError(f"{path} is not as long as its index says")
    return np.memmap(path, dtype=dtype, mode="c", shape=(length,))


def _open(dataset: Dataset, split: str, folder: Path) -> PackedSplit | None:
    """Open a packed split; None if it is missing, damaged, or not of this dataset."""
    packed = open_packed(folder)
    if packed is None or packed.index.contents is None or split not in dataset.splits:
        return None
    found = (len(packed), packed.num_classes, packed.ignore_index, packed.channels)
    wanted = (len(dataset.splits[split]), len(dataset.classes), dataset.ignore_index, dataset.channels)
    return packed if found == wanted else None


def _find_fault(dataset: Dataset, split: str, folder: Path) -> str | None:
    """Read a packed split whole and say what is wrong with it; None if nothing is."""
    for name in (INDEX, IMAGES, LABELS):
        try:
            check_seal(folder / name)
        except (OSError, ValueError) as error:
            return f"{folder / name} is damaged: {getattr(error, 'strerror', None) or error}"
    packed = open_packed(folder)
    if packed is not None and packed.index.contents is None:
        return f"{folder} was written by an older version of segbench"
    return f"{folder} is not the packed split of this dataset" if _open(dataset, split, folder) is None else None


def _build(dataset: Dataset, split: str, folder: Path) -> None:
    """Write the packed split into a temporary folder, then rename that to its place."""
    temporary = folder.with_name(_TEMPORARY + uuid.uuid4().hex)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary.mkdir()
        write_packed(dataset, split, temporary)
        _move_into_place(temporary, dataset, split, folder)
    except OSError as error:
        raise DataError(
            f"cannot write the cache of decoded images in {folder.parent}: {error.strerror or error}; "
            "make room there, or set SEGBENCH_CACHE to a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    oldest = time.time() - _ABANDONED_SECONDS
    for folder in parent.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def write_packed(dataset: Dataset, split: str, folder: Path) -> None:
    """Decode and check a split, and write its flat files and their index into an empty folder."""
    index = _write_flat_files(dataset, split, folder)
    with _synced_file(folder / INDEX) as file:
        file.write(sealed_json(index.model_dump(mode="json")))


def _write_flat_files(dataset: Dataset, split: str, folder: Path) -> PackedIndex:
    """Write images and labels, holding a few samples in memory at a time, and return what was written."""
    highest_label = max(len(dataset.classes) - 1, dataset.ignore_index)
    label_dtype: Literal["uint8", "uint16"] = "uint8" if highest_label < 256 else "uint16"
    ids: list[str] = []
    sizes: list[tuple[int, int]] = []
    class_pixels = np.zeros(len(dataset.classes), dtype=np.int64)
    contents = ContentsCounter()
    with _synced_file(folder / IMAGES) as images, _synced_file(folder / LABELS) as labels:
        for sample, notes in read_with_notes(dataset, split):
            labels.write(np.ascontiguousarray(sample.labels, dtype=label_dtype).data)
            ids.append(sample.id)
            sizes.append(sample.labels.shape)
            counted = count_labels(sample.labels)[: len(class_pixels)]
            class_pixels[: len(counted)] += counted
            image_dtype = sample.image.dtype.name
            contents.add(sample.id, _write_channels(sample.image, images), notes)
        for file in (images, labels):
            file.write(UNSEALED.encode())
            seal(file)
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
        contents=contents.contents(),
    )


def _write_channels(image: NDArray[Any], file: BinaryIO) -> Iterator[NDArray[Any]]:
    """Write the channels of an image (H, W, C) one after the other, and yield each: memory holds one at a time."""
    for place in range(image.shape[2]):
        channel = np.ascontiguousarray(image[..., place])
        file.write(channel.data)
        yield channel


@contextlib.contextmanager
def _synced_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write whose content has reached the disk at the end, before any later renaming."""
    with open(path, "w+b") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _move_into_place(temporary: Path, dataset: Dataset, split: str, folder: Path) -> None:
    """Rename `temporary` to `folder`; an undamaged split that is there already stays, a damaged one is removed."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            os.replace(temporary, folder)
            return
        except OSError:
            if _find_fault(dataset, split, folder) is None:
                return
            if attempt == _ATTEMPTS:
                raise
        _move_away(folder, temporary.with_name(f"{temporary.name}-{attempt}"))


def _move_away(damaged: Path, elsewhere: Path) -> None:
    """Remove a damaged folder or file; it is renamed first, so that no other process sees half of it."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(damaged, elsewhere)
        if elsewhere.is_dir() and not elsewhere.is_symlink():
            shutil.rmtree(elsewhere, ignore_errors=True)
        else:
            elsewhere.unlink()


def absent_classes(packed: PackedSplit, classes: Sequence[str]) -> list[str]:
    """Return the names of the classes of which the split has no pixel."""
    return [name for name, pixels in zip(classes, packed.class_pixels(), strict=True) if pixels == 0]


def check_classes(packed: PackedSplit, classes: Sequence[str]) -> None:
    """Raise DataError naming the classes that never occur in the labels of a split."""
    refuse_absent(packed.class_pixels(), classes, f"split {packed.split!r} (images: {len(packed)})")


def refuse_absent(class_pixels: NDArray[np.int64], classes: Sequence[str], where: str) -> None:
    """Raise DataError naming the classes without pixels, (K,); `where` says in the labels of which images."""
    absent = [name for name, pixels in zip(classes, class_pixels, strict=True) if pixels == 0]
    if absent:
        named = ", ".join(map(repr, absent))
        never = f"class {named} never occurs" if len(absent) == 1 else f"classes {named} never occur"
        raise DataError(
            f"{never} in the labels of {where}; remove what is absent from the "
            "dataset, or set `absent_classes: allow` in the protocol"
        )
