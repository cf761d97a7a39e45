"""A split whose samples are read from pairs of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import DataError, Sample
from segbench.images import Reading, read_image
from segbench.images.opening import describe_orientation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .listing import Pair

# Masks of published datasets fit their images as these are stored.
AS_STORED = Reading(orientation="stored")


class FilePairs:
    """The samples of image and mask files, decoded one at a time when asked for."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        read_mask: Callable[[Path], NDArray[Any]],
        channels: int = 3,
        reading: Reading = AS_STORED,
    ):
        self.ids = tuple(pair.id for pair in pairs)
        self.files = tuple((pair.image, pair.mask) for pair in pairs)
        self._read_mask = read_mask
        self._channels = channels
        self._reading = reading

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        image_file, mask_file = self.files[index]
        image = read_image(image_file, self._channels, self._reading)
        labels = self._read_mask(mask_file)
        if image.shape[:2] != labels.shape:
            turned = describe_orientation(image_file)
            raise DataError(
                f"{image_file} is {image.shape[1]}x{image.shape[0]} pixels, its mask {mask_file} "
                f"{labels.shape[1]}x{labels.shape[0]}; {f'{turned}, so ' if turned else ''}give both one size"
            )
        return Sample(image, labels, self.ids[index])
