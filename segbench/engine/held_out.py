"""What the network of a fold predicts for the training images that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.plan.subset import Subset

from .data.batches import normalise
from .data.probabilities import write_probabilities
from .data.subset import split_places
from .inference import class_scores
from .precision import memory_format

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

    from segbench.plan.cell import Cell

    from .cell_data import CellData


def leave_predictions(path: Path, segmenter: nn.Module, cell: Cell, data: CellData) -> None:
    """Write the class probabilities of each training image of the cell's fold."""
    segmenter.eval()
    places = split_places(data.packed("train"), Subset.parse(cell.subset)).held_out
    packed = data.packed("train")
    ids, sizes = [packed.ids[place] for place in places], [packed.index.sizes[place] for place in places]
    write_probabilities(path, ids, sizes, _fields(segmenter, places, cell, data))


def _fields(segmenter: nn.Module, places: tuple[int, ...], cell: Cell, data: CellData) -> Iterator[Tensor]:
    """Yield probabilities (K, H, W) image by image."""
    protocol, split = cell.method.protocol, data.resident("train")
    for place in places:
        image = normalise(split.image(place)[None], split.white, memory_format(protocol.channels_last))
        scores = class_scores(segmenter, image, precision=protocol.precision, window=protocol.window)
        # A window's scores are probabilities already.
        yield (scores if protocol.window else torch.softmax(scores, dim=1))[0]
