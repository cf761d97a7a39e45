"""Whether a model in a file gives the labels of its network, on the split that its cell was scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segbench.engine.data.dataset import open_data
from segbench.engine.evaluation.confusion import confusion_matrices
from segbench.engine.evaluation.inference import predict_image
from segbench.errors import DataError, RecordError, first_line
from segbench.registry import load_registry
from segbench.stats.scores import miou

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from segbench.engine.data.cache import PackedSplit
    from segbench.engine.recorded import RecordedNetwork
    from segbench.plan.cell import Cell

    Label = Callable[[NDArray[Any]], NDArray[Any]]
    """Takes images (1, C, H, W), returns labels (1, H, W)."""


FEWEST_EQUAL = 0.999  # a share of all pixels
LARGEST_DIFFERENCE = 0.0005  # of mIoU


@dataclass(frozen=True)
class Parity:
    """How many images were compared, the share of equal labels, and the mIoU of network and model, in [0, 1].

    The mIoU is None where no pixel of the images is labelled.
    """

    images: int
    equal: float
    expected_miou: float | None
    miou: float | None

    @property
    def holds(self) -> bool:
        """Whether the model may stand for the network."""
        difference = abs((self.expected_miou or 0) - (self.miou or 0))
        return self.equal >= FEWEST_EQUAL and difference <= LARGEST_DIFFERENCE

    def __str__(self) -> str:
        found, expected = ("-" if one is None else f"{100 * one:.2f}" for one in (self.miou, self.expected_miou))
        return (
            f"on {self.images} images {100 * self.equal:.3f} % of labels are equal, and mIoU is {found}, that of the "
            f"network {expected}"
        )


def open_scored_split(cell: Cell, root: str | None) -> PackedSplit:
    """Return the split that a cell was scored on, its images not resized; DataError if the data is not at hand.

    `root` is the folder of the dataset, by default where `segbench run` looks.
    """
    dataset = cell.dataset.model_copy(update={"root": root})
    data = open_data(cell.model_copy(update={"dataset": dataset}), load_registry(), torch.device("cpu"))
    return data.packed(cell.method.protocol.evaluate)


def of_size(packed: PackedSplit, size: tuple[int, int] | None) -> Sequence[int]:
    """Return which images of a split have a (height, width), by default all; DataError if none has."""
    found = [index for index, one in enumerate(packed.index.sizes) if size in (None, one)]
    if size is not None and not found:
        sizes = ", ".join(f"{height}x{width}" for height, width in sorted(set(packed.index.sizes))[:3])
        raise DataError(f"no image of split {packed.split} is of size {size[0]}x{size[1]}, but of {sizes}")
    return found


def measure_parity(label: Label, recorded: RecordedNetwork, packed: PackedSplit, indices: Sequence[int]) -> Parity:
    """Compare the labels of a model with those of the network for images of a split; RecordError if it cannot run."""
    equal, pixels = 0, 0
    counts = np.zeros((2, packed.num_classes, packed.num_classes), dtype=np.int64)
    for image, truth in ((packed.image(index), packed.labels(index)) for index in indices):
        expected, found = _label_both(label, recorded, image)
        equal, pixels = equal + int((found == expected).sum()), pixels + truth.size
        both = torch.from_numpy(np.stack([expected, found]).astype(np.int64))
        truths = torch.from_numpy(np.stack([truth, truth]).astype(np.int64))
        counts += confusion_matrices(both, truths, packed.num_classes, packed.ignore_index).numpy()
    return Parity(len(indices), equal / pixels, *map(miou, counts))


def require_any_size(label: Label, recorded: RecordedNetwork, image: NDArray[Any]) -> None:
    """Raise RecordError if a model gives other labels than the network for a part of an image (C, H, W)."""
    _, height, width = image.shape
    part = np.ascontiguousarray(image[:, : -(-3 * height // 4), : -(-2 * width // 3)])
    expected, found = _label_both(label, recorded, part)
    if found.shape != expected.shape or np.mean(found == expected) < FEWEST_EQUAL:
        raise RecordError(
            f"the model gives other labels than the network for an image of {part.shape[1]}x{part.shape[2]}; write one "
            f"for images of one size, such as --size {height}x{width}"
        )


def _label_both(label: Label, recorded: RecordedNetwork, image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the labels (H, W) that a network and a model give an image; RecordError if the model does not run."""
    white = int(np.iinfo(image.dtype).max)
    expected = predict_image(recorded.network, torch.from_numpy(image), white, recorded.protocol).labels
    try:
        return expected, label(image[None])[0]
    except Exception as error:
        _, height, width = image.shape
        raise RecordError(
            f"the model does not run for an image of {height}x{width}: {type(error).__name__}: {first_line(error)}; "
            "write one for images of one size, with --size HxW"
        ) from error


def require_parity(parity: Parity) -> None:
    """Raise RecordError if a model may not stand for its network."""
    if not parity.holds:
        raise RecordError(
            f"the model does not do what the network does: {parity}; at least {100 * FEWEST_EQUAL} % of labels must be "
            f"equal, and mIoU differ by at most {100 * LARGEST_DIFFERENCE} points. Nothing was written"
        )
