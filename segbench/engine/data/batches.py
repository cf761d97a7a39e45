"""Batches on the training device: random ones to train on, ordered ones to evaluate."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from segbench.engine.numerics import random_generator
from segbench.errors import DataError

from .augment import Draws, change_values, check_augment, draw_patches, paste, place_crops
from .probabilities import normalise_probabilities
from .sampling import interpolate, resample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from segbench.config.augment import Augment

    from .probabilities import Fields
    from .resident import ResidentSplit
    from .sampling import Placement


_MOST_NUMBERS = 2**31 - 1


class Batch(NamedTuple):
    """Images float32 (N, C, h, w) in [-1, 1], labels int64 (N, h, w), and the images' places in their split.

    For refiners also the class probabilities (N, K, h, w) that the base predicted, float32.
    """

    images: Tensor
    labels: Tensor
    indices: tuple[int, ...]
    probabilities: Tensor | None = None


class BatchSource(Protocol):
    """An endless sequence of training batches, each a function of its step."""

    @property
    def images_per_epoch(self) -> int:
        """The number of images that count as one epoch of a budget."""

    def at(self, step: int) -> Batch:
        """Return the batch of one optimiser step, counted from 0."""


class TrainingBatches:
    """An endless sequence of augmented training batches; each depends on seed, stream and step alone.

    Every epoch visits each image once in a new random order. Batches run across the end of an epoch, so that all are
    full. Where a crop reaches beyond its image, images are 0.0 (mid grey) and labels `ignore_index`. Without `crop` the
    whole image is taken.

    - places: the only images that are drawn; fewer than a batch, they recur in it; None draws all
    - fields: class probabilities, which move with their image and are uniform beyond it
    - stream: the name of a sequence of draws that is independent of those of other names
    - with_labels: False hides the true labels: inside the image all are 0

    Raises DataError if the split has too few images for a batch, if no place is left to draw from, if the crop is
    larger than every image however zoomed, and without crop if images differ in size.
    """

    def __init__(
        self,
        split: ResidentSplit,
        *,
        batch_size: int,
        crop: tuple[int, int] | None,
        augment: Augment,
        ignore_index: int,
        seed: int,
        memory_format: torch.memory_format = torch.contiguous_format,
        places: Sequence[int] | None = None,
        fields: Fields | None = None,
        stream: str = "",
        with_labels: bool = True,
    ) -> None:
        _check_batch_size(split, batch_size)
        check_augment(augment, split.packed.channels)
        if crop is not None:
            _check_crop(split, crop, augment.scale[1])
        elif batch_size > 1:
            _check_one_size(split)
        if refusal := augment.refuse_turns(crop or split.packed.index.sizes[0]):
            raise DataError(refusal)
        self.split = split
        self.batch_size = batch_size
        self.crop = crop
        self.augment = augment
        self.ignore_index = ignore_index
        self.seed = seed
        self.memory_format = memory_format
        self.places = range(len(split)) if places is None else places
        self.fields = fields
        self.stream = f"/{stream}" if stream else ""
        self.with_labels = with_labels
        _check_places(split, self.places)

    @property
    def images_per_epoch(self) -> int:
        """The number of images of the whole split: a budget has as many steps for a part of the images as for all."""
        return len(self.split)

    def at(self, step: int) -> Batch:
        """Return the batch of one optimiser step, counted from 0."""
        return self.draw(range(step * self.batch_size, (step + 1) * self.batch_size), step)

    def draw(self, positions: range, step: int) -> Batch:
        """Return images at positions of the endless sequence of epochs, augmented with the random draws of a step."""
        indices = self._indices(positions)
        draws = Draws(self.seed, self.stream, step, len(indices))
        size = self.crop or self.split.packed.index.sizes[indices[0]]
        extents = torch.from_numpy(self.split.sizes[list(indices)]).double()
        placement = place_crops(self.augment, size, extents, draws)
        images, labels = self._sample(indices, placement)
        images = change_values(self.augment, images, self.split.white, draws)
        images = normalise(images, self.split.white, self.memory_format)
        labels = labels.long() if self.with_labels else torch.zeros_like(labels, dtype=torch.int64)
        probabilities = self._probabilities(indices, placement)
        outside = placement.outside(images.device)
        if outside is not None:
            images.masked_fill_(outside[:, None], 0.0)
            labels.masked_fill_(outside, self.ignore_index)
            if probabilities is not None:
                probabilities.masked_fill_(outside[:, None], 1 / probabilities.shape[1])
        if self.augment.cutmix:
            patches = draw_patches(self.augment, size, draws, images.device)
            images, labels = paste(images, patches), paste(labels, patches)
            probabilities = None if probabilities is None else paste(probabilities, patches)
        return Batch(images, labels, indices, probabilities)

    def _indices(self, positions: range) -> tuple[int, ...]:
        """Return the places in the split of the images at some positions of the sequence of epochs."""
        length, purpose = len(self.places), f"order{self.stream}"
        drawn = (divmod(position, length) for position in positions)
        return tuple(self.places[epoch_order(self.seed, epoch, length, purpose)[place]] for epoch, place in drawn)

    def _sample(self, indices: tuple[int, ...], placement: Placement) -> tuple[Tensor, Tensor]:
        """Return images and labels as they are stored, sampled where the placement says."""
        images, labels = self.split.windows(indices, placement.rows, placement.columns)
        return (images, labels) if placement.is_plain else resample(images, labels, placement)

    def _probabilities(self, indices: tuple[int, ...], placement: Placement) -> Tensor | None:
        """Return the probabilities sampled where the placement says; their sum over classes is 1."""
        if self.fields is None:
            return None
        windows = self.fields.windows(indices, placement.rows, placement.columns).to(self.split.device)
        return normalise_probabilities(interpolate(windows, placement)).contiguous(memory_format=self.memory_format)


def whole_batch(
    split: ResidentSplit, indices: tuple[int, ...], memory_format: torch.memory_format = torch.contiguous_format
) -> Batch:
    """Return whole images of one size, their labels at their own."""
    images, labels = split.whole(indices)
    return Batch(normalise(images, split.white, memory_format), labels.long(), indices)


def normalise(images: Tensor, white: int, memory_format: torch.memory_format) -> Tensor:
    """Map pixel values 0 to `white` to [-1, 1] in float32, in the given memory format."""
    half = white / 2
    result = torch.empty_like(images, dtype=torch.float32, memory_format=memory_format)
    return result.copy_(images).sub_(half).div_(half)


# Two epochs of each stream that a step may draw from: labelled, discriminator, synthetic, unlabelled.
@lru_cache(maxsize=8)
def epoch_order(seed: int, epoch: int, length: int, purpose: str = "order") -> tuple[int, ...]:
    """Return the order in which one epoch visits the images."""
    return tuple(torch.randperm(length, generator=random_generator(seed, purpose, epoch)).tolist())


def runs_of_one_size(split: ResidentSplit, batch_size: int) -> Iterator[tuple[int, ...]]:
    """Yield runs of consecutive images of one size, at most `batch_size` long."""
    sizes = split.packed.index.sizes
    run: tuple[int, ...] = ()
    for index in range(len(split)):
        if run and (len(run) == batch_size or sizes[index] != sizes[run[0]]):
            yield run
            run = ()
        run += (index,)
    if run:
        yield run


def groups_of_one_size(split: ResidentSplit, batch_size: int, channels: int) -> Iterator[tuple[int, ...]]:
    """Yield the images of a split in batches of one size, one size after the other, at most `batch_size` in each.

    There are no more than kernels can count whose numbers are of 32 bits, when each image has so many `channels`.
    """
    places: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(split.packed.index.sizes):
        places.setdefault(size, []).append(index)
    for (height, width), of_one_size in places.items():
        length = max(1, min(batch_size, _MOST_NUMBERS // (channels * height * width)))
        for start in range(0, len(of_one_size), length):
            yield tuple(of_one_size[start : start + length])


def _check_batch_size(split: ResidentSplit, batch_size: int) -> None:
    if batch_size > len(split):
        raise DataError(
            f"batch_size {batch_size} is larger than split {split.packed.split!r}, which has {len(split)} "
            f"image{'s' if len(split) > 1 else ''}; set protocol.batch_size, times protocol.accumulate, to at most "
            f"{len(split)}"
        )


def _check_places(split: ResidentSplit, places: Sequence[int]) -> None:
    if not places:
        raise DataError(
            f"none of the {len(split)} images of split {split.packed.split!r} is left to draw batches from; "
            "a method that uses unlabelled images needs a labels.fraction below 1"
        )


def _check_one_size(split: ResidentSplit) -> None:
    """Refuse images of several sizes, which cannot share a batch."""
    sizes = split.packed.index.sizes
    other = next((index for index, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise DataError(
            f"split {split.packed.split!r} has images of several sizes ({split.ids[0]!r} is {list(sizes[0])}, "
            f"{split.ids[other]!r} is {list(sizes[other])}; height, width), which cannot share a batch; "
            "set protocol.crop"
        )


def find_largest_too_small(sizes: Sequence[tuple[int, int]], part: tuple[int, int], scale: float) -> int | None:
    """Return the place of the largest size, (height, width), if none reaches a part when zoomed; None if one does."""
    if any(height >= part[0] and width >= part[1] for height, width in (_zoom(size, scale) for size in sizes)):
        return None
    return max(range(len(sizes)), key=lambda place: sizes[place][0] * sizes[place][1])


def _zoom(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def _check_crop(split: ResidentSplit, crop: tuple[int, int], scale: float) -> None:
    """Refuse a crop that no image can fill."""
    sizes = split.packed.index.sizes
    largest = find_largest_too_small(sizes, crop, scale)
    if largest is None:
        return
    reach = list(_zoom(sizes[largest], scale))
    at_most = f", {reach} at the largest scale {scale:g}" if scale != 1 else ""
    raise DataError(
        f"crop {list(crop)} (height, width) is larger than every image of split {split.packed.split!r}; the largest, "
        f"{split.ids[largest]!r}, is {list(sizes[largest])}{at_most}; set protocol.crop to at most {reach}"
    )
