"""Class probabilities that a finished segmenter predicted for images: a byte each in a file, read for training.

A file is in the safetensors format: one uint8 tensor (K, H, W) for each image, named by its id. A probability p is
stored as round(255 * p), so it is off by at most 1 / 510 before it is made to sum to 1 again.
"""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Protocol

import torch
from safetensors import SafetensorError, safe_open

from segbench.checksum import check_seal
from segbench.errors import RecordError
from segbench.store.tensor_file import StoredTensor, write_tensor_file

from .resident import gather_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from .resident import Range


_LARGEST = 255  # the byte of probability 1
CPU = torch.device("cpu")
_CURE = "delete the records of the cells that left these files and run them again"


def write_probabilities(
    path: Path, ids: Sequence[str], sizes: Sequence[tuple[int, int]], fields: Iterable[Tensor]
) -> None:
    """Write the class probabilities (K, H, W) of images, one at a time; the file appears when it is complete.

    `sizes` are (H, W) by image. Raises RecordError if the file cannot be written.
    """
    fields = iter(fields)
    first = next(fields)
    shapes = [(len(first), int(height), int(width)) for height, width in sizes]
    stored = [StoredTensor(one, "U8", shape, prod(shape)) for one, shape in zip(ids, shapes, strict=True)]
    contents = (
        (field * _LARGEST).round().to("cpu", torch.uint8).contiguous().numpy() for field in chain([first], fields)
    )
    write_tensor_file(path, stored, contents)


class Fields(Protocol):
    """Class probabilities of a split's images."""

    def windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> Tensor:
        """Return a window of each given image's probabilities times any constant, (N, K, h, w), any type."""


class ProbabilityFields:
    """The stored probabilities of a split's images by place in the split; memory-mapped, and sent to a device."""

    def __init__(self, fields: Mapping[int, Tensor], device: torch.device) -> None:
        self._fields = fields
        self.device = device

    @classmethod
    def open(
        cls,
        paths: Sequence[Path],
        ids: Sequence[str],
        places: Iterable[int] | None = None,
        device: torch.device = CPU,
    ) -> ProbabilityFields:
        """Open the files that together hold the probabilities of a split's images; `ids` are all its sample ids.

        Raises RecordError if a file is missing, damaged or of another format, if two of them hold one image, or if none
        holds one of the images at `places` (None: at any place).
        """
        place_of = {sample_id: place for place, sample_id in enumerate(ids)}
        fields: dict[int, Tensor] = {}
        for path in paths:
            for sample_id, field in _read(path).items():
                if sample_id not in place_of or place_of[sample_id] in fields:
                    what = "of no image of the split" if sample_id not in place_of else "that another file holds too"
                    raise RecordError(f"{path} holds probabilities of {sample_id!r}, {what}; {_CURE}")
                fields[place_of[sample_id]] = field
        for place in range(len(ids)) if places is None else places:
            if place not in fields:
                files = ", ".join(map(str, paths)) or "any file"
                raise RecordError(f"image {ids[place]!r} has no probabilities in {files}; {_CURE}")
        return cls(fields, device)

    def windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> Tensor:
        """Return a window of each given image's bytes on the device, (N, K, h, w); see `gather_windows`."""
        fields = [self._fields[index] for index in indices]
        windows = gather_windows(fields, rows, columns, pinned=self.device.type == "cuda")
        return windows.to(self.device, non_blocking=True)


def normalise_probabilities(fields: Tensor) -> Tensor:
    """Return non-negative fields (N, K, h, w) divided by their sum over classes; where that is 0, 1 / K."""
    total = fields.sum(dim=1, keepdim=True)
    return torch.where(total > 0, fields / total, 1 / fields.shape[1])


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by image id; their bytes stay on the disk until they are used."""
    try:
        check_seal(path)
        with safe_open(path, framework="pt") as file:
            fields = {sample_id: file.get_tensor(sample_id) for sample_id in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise RecordError(f"the probabilities in {path} cannot be read: {error}; {_CURE}") from error
    if any(field.dtype != torch.uint8 or field.ndim != 3 for field in fields.values()):
        raise RecordError(f"{path} holds something else than probabilities; {_CURE}")
    return fields
