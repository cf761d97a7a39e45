"""The pixels of small objects in ground truth: found once for each image of a split, and kept beside its cache."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from segbench.checksum import UNSEALED, check_seal, seal
from segbench.errors import RecordError
from segbench.images.pixels import is_large
from segbench.store.atomic import replacing

from .joined_objects import EIGHT_NEIGHBOURS, label_codes, mark_in_bands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segbench.engine.data.cache import PackedSplit


# Another definition of small needs another name, so that what was kept under this one is not read.
SMALL_OBJECTS = "small-objects-1.bin"

# COCO calls objects below 32 x 32 pixels small (T.-Y. Lin et al., ECCV 2014), in images of mostly 640 x 480.
SMALL_SHARE = 32**2 / (640 * 480)


def find_small_objects(packed: PackedSplit, indices: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return the pixels of small objects in images of one size, bool (N, H, W) on the device."""
    small = torch.from_numpy(np.stack([small_objects(packed, index) for index in indices]))
    if device.type == "cuda":
        small = small.pin_memory()
    return small.to(device, non_blocking=True)


def small_objects(packed: PackedSplit, index: int) -> NDArray[np.bool_]:
    """Return the pixels of small objects in one image, bool (H, W); see `mark_small_objects`."""
    height, width = packed.index.sizes[index]
    bits = _open_bits(packed)
    if bits is None:
        return _mark(packed, index)
    start = _byte_offsets(packed)[index]
    unpacked = np.unpackbits(bits[start : start + _byte_count(height, width)], count=height * width)
    return unpacked.view(bool).reshape(height, width)


@lru_cache(maxsize=8)
def _open_bits(packed: PackedSplit) -> NDArray[np.uint8] | None:
    """Return a bit for each pixel of a split, every image from a new byte on; None where they cannot be kept.

    They are read from the file beside the packed split; where that is missing or damaged it is written first.
    """
    if packed.folder is None:
        return None
    path = packed.folder / SMALL_OBJECTS
    try:
        return _map_bits(path, packed)
    except (OSError, ValueError):
        with suppress(RecordError, OSError, ValueError):  # a cache that cannot be written costs time alone
            _write_bits(path, packed)
            return _map_bits(path, packed)
    return None


def _map_bits(path: Path, packed: PackedSplit) -> NDArray[np.uint8]:
    check_seal(path)
    length = _byte_offsets(packed)[-1]
    if path.stat().st_size != length + len(UNSEALED):
        raise ValueError(f"{path} is of another split")
    return np.memmap(path, dtype=np.uint8, mode="r", shape=(length,))


def _write_bits(path: Path, packed: PackedSplit) -> None:
    with replacing(path) as file:
        for index in range(len(packed)):
            file.write(np.packbits(_mark(packed, index)).data)
        file.write(UNSEALED.encode())
        seal(file)


@lru_cache(maxsize=8)
def _byte_offsets(packed: PackedSplit) -> list[int]:
    """Return the place of the first byte of each image, and last the number of all bytes."""
    return [0, *np.cumsum([_byte_count(*size) for size in packed.index.sizes]).tolist()]


def _byte_count(height: int, width: int) -> int:
    return -(-height * width // 8)


def _mark(packed: PackedSplit, index: int) -> NDArray[np.bool_]:
    return mark_small_objects(packed.labels(index), packed.num_classes, packed.ignore_index)


def mark_small_objects(truth: NDArray[np.integer[Any]], num_classes: int, ignore_index: int) -> NDArray[np.bool_]:
    """Tell which pixels of a label map (H, W) belong to objects smaller than 1/300 of the image.

    An object is a connected component (8 neighbours) of the pixels of one class; ignored pixels belong to none.

    >>> truth = np.zeros((20, 31), dtype=np.uint8)
    >>> truth[3, 4:6] = 1
    >>> np.argwhere(mark_small_objects(truth, 2, 255)).tolist()
    [[3, 4], [3, 5]]
    """
    if is_large(*truth.shape):
        return mark_in_bands(truth, num_classes, ignore_index, SMALL_SHARE * truth.size)
    small = np.zeros(truth.shape, dtype=bool)
    codes = label_codes(truth, ignore_index)
    for index, box in enumerate(ndimage.find_objects(codes, num_classes)):
        if box is not None:
            small[box] |= _small_components(codes[box] == index + 1, SMALL_SHARE * truth.size)
    return small


def _small_components(mask: NDArray[np.bool_], limit: float) -> NDArray[np.bool_]:
    """Tell which pixels of a mask lie in components of fewer than `limit` pixels."""
    components, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    is_small = np.bincount(components.ravel()) < limit
    is_small[0] = False  # what is not in the mask
    found: NDArray[np.bool_] = is_small[components]
    return found
