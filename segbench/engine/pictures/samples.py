"""The few sample pictures that are kept beside a record."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image

from segbench.engine.evaluation.inference import predict_image
from segbench.engine.numerics import memory_errors_named
from segbench.errors import SegbenchError

from .drawing import label_map, panel
from .explain import critic_picture, evidence_picture

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from segbench.config.protocol import TrainingProtocol
    from segbench.contract import Dataset
    from segbench.engine.data.resident import ResidentSplit
    from segbench.engine.recorded import ScoreMap


def write_samples(
    folder: Path,
    network: nn.Module,
    resident: ResidentSplit,
    dataset: Dataset,
    protocol: TrainingProtocol,
    score_map: ScoreMap | None = None,
    score_boundary: float | None = None,
) -> None:
    """Write, for `protocol.keep.samples` images spread evenly over a split, what the network predicts and why.

    <id>.png is the label map, a palette PNG; <id>.panel.png shows image, truth, prediction and the prediction over the
    image; <id>.evidence.png where in the image the evidence for each class lies, if the network has a layer that shows
    it; <id>.critic.png what the critic thinks of the prediction, if there is a `score_map` that takes whole images. All
    methods of a benchmark show the same images. Leaves the network in evaluation mode.
    """
    network.eval()
    places = spread(len(resident), protocol.keep.samples)
    if places:
        folder.mkdir(parents=True, exist_ok=True)
    for index in places:
        image, name = resident.image(index), file_name(resident.ids[index])
        prediction = predict_image(network, image, resident.white, protocol)
        pixels, labels, truth = image.cpu().numpy(), prediction.labels, resident.labels(index).cpu().numpy()
        label_map(labels, dataset.palette, dataset.ignore_index).save(folder / f"{name}.png")
        Image.fromarray(panel(pixels, truth, labels, dataset.palette)).save(folder / f"{name}.panel.png")
        # A trained cell is not lost for a picture: one may need more memory than the evaluation did, and a critic may
        # take nothing but crops.
        with suppress(SegbenchError), memory_errors_named(resident.device):
            if score_map is not None:
                picture = critic_picture(score_map, score_boundary, prediction, pixels, dataset.palette)
                Image.fromarray(picture).save(folder / f"{name}.critic.png")
        with suppress(SegbenchError), memory_errors_named(resident.device):
            evidence = evidence_picture(network, prediction, pixels, dataset.classes, dataset.palette)
            if evidence is not None:
                Image.fromarray(evidence).save(folder / f"{name}.evidence.png")


def spread(length: int, count: int) -> list[int]:
    """Return at most `count` places spread evenly over a sequence, in order.

    >>> spread(10, 3), spread(2, 4)
    ([0, 4, 9], [0, 1])
    """
    return sorted({round(place) for place in np.linspace(0, length - 1, min(count, length)).tolist()})


def file_name(sample_id: str) -> str:
    """Return an id as a file name; what a name cannot hold is percent-encoded.

    >>> file_name("aachen/000 1")
    'aachen%2F000 1'
    """
    return quote(sample_id, safe=" ")
