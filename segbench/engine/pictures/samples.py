"""Sample pictures of a cell: label maps, panels, class evidence and discriminator scores of a few images."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from segbench.engine.data.dataset import choose_evenly
from segbench.engine.evaluation.inference import predict_image
from segbench.engine.numerics import name_device_errors
from segbench.errors import SegbenchError
from segbench.images.pixels import is_large
from segbench.store.pictures import picture_path

from .drawing import label_map, panel, save_picture
from .explain import discriminator_picture, evidence_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from segbench.config.protocol import TrainingProtocol
    from segbench.config.resize import Size
    from segbench.contract import Dataset
    from segbench.engine.data.cache import PackedSplit
    from segbench.engine.recorded import ScoreMap

    from .drawing import Picture


# Height and width, in pixels, that pictures show of large images.
LARGEST_SIDE = 2048


def write_samples(
    folder: Path,
    network: nn.Module,
    packed: PackedSplit,
    device: torch.device,
    dataset: Dataset,
    protocol: TrainingProtocol,
    score_map: ScoreMap | None = None,
    score_boundary: float | None = None,
) -> None:
    """Write, for `protocol.keep.samples` images spread evenly over a split, what the network predicts and why.

    <id>.png is the label map, a palette PNG, and <id>.truth.png the true one; <id>.panel.png shows image, truth,
    prediction and the prediction over the image; <id>.evidence.png the evidence for each class, if the network has a
    layer to take it from; <id>.critic.png the discriminator's scores of the prediction, if there is a `score_map` that
    takes whole images. Of large images the middle is shown; where images are resized, which is done to whole ones,
    evidence and scores show all of it. All methods of a benchmark show the same images, not resized. A picture that
    cannot be drawn or written is named on stderr, and the others follow.
    Leaves the network in evaluation mode.
    """
    network.eval()
    white = int(np.iinfo(packed.image_dtype).max)
    for index in choose_evenly(len(packed), protocol.keep.samples):
        image, shown = packed.image(index), _shown_part(packed.index.sizes[index])
        pixels, truth = image[:, *shown], packed.labels(index)[shown]
        given = pixels if protocol.resize is None else image
        prediction = predict_image(network, torch.from_numpy(given).to(device), white, protocol)
        labels = prediction.labels if protocol.resize is None else prediction.labels[shown]
        classes, palette = dataset.classes, dataset.palette
        pictures: dict[str, Callable[[], Image.Image | Picture | None]] = {
            "": partial(label_map, labels, palette, dataset.ignore_index),
            ".truth": partial(label_map, truth, palette, dataset.ignore_index),
            ".panel": partial(panel, pixels, truth, labels, palette),
            ".evidence": partial(evidence_picture, network, prediction, given, classes, palette),
        }
        if score_map is not None:
            pictures[".critic"] = partial(discriminator_picture, score_map, score_boundary, prediction, given, palette)
        for kind, draw in pictures.items():
            _save_if_possible(picture_path(folder, packed.ids[index], kind), draw, device)


def _shown_part(size: Size) -> tuple[slice, slice]:
    """Return the rows and columns of an image that are shown: all, or the middle of large ones."""
    if not is_large(*size):
        return slice(0, size[0]), slice(0, size[1])
    height, width = (min(length, LARGEST_SIDE) for length in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def _save_if_possible(path: Path, draw: Callable[[], Image.Image | Picture | None], device: torch.device) -> None:
    """Save the picture that `draw` returns, if it returns one; an error leaves the cell without it.

    A picture may need more memory than the evaluation did, a disk be full, and a discriminator take nothing but crops.
    """
    try:
        with name_device_errors(device):
            picture = draw()
        if picture is not None:
            save_picture(picture if isinstance(picture, Image.Image) else Image.fromarray(picture), path)
    except (SegbenchError, OSError) as error:
        print(f"the cell stays without the picture {path.name}: {error}", file=sys.stderr)
