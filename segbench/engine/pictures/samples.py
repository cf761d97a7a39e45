"""Sample pictures of a cell: label maps, panels, class evidence and discriminator scores of a few images."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image

from segbench.engine.evaluation.inference import predict_image
from segbench.engine.numerics import name_memory_errors
from segbench.errors import SegbenchError

from .drawing import label_map, panel
from .explain import discriminator_picture, evidence_picture

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
    image; <id>.evidence.png the evidence for each class, if the network has a layer to take it from; <id>.critic.png
    the discriminator's scores of the prediction, if there is a `score_map` that takes whole images. All methods of a
    benchmark show the same images. Leaves the network in evaluation mode.
    """
    network.eval()
    chosen = choose_evenly(len(resident), protocol.keep.samples)
    if chosen:
        folder.mkdir(parents=True, exist_ok=True)
    for index in chosen:
        image, name = resident.image(index), file_name(resident.ids[index])
        prediction = predict_image(network, image, resident.white, protocol)
        pixels, labels, truth = image.cpu().numpy(), prediction.labels, resident.labels(index).cpu().numpy()
        label_map(labels, dataset.palette, dataset.ignore_index).save(folder / f"{name}.png")
        Image.fromarray(panel(pixels, truth, labels, dataset.palette)).save(folder / f"{name}.panel.png")
        # A trained cell is not lost for a picture: one may need more memory than the evaluation did, and a
        # discriminator may take nothing but crops.
        with suppress(SegbenchError), name_memory_errors(resident.device):
            if score_map is not None:
                picture = discriminator_picture(score_map, score_boundary, prediction, pixels, dataset.palette)
                Image.fromarray(picture).save(folder / f"{name}.critic.png")
        with suppress(SegbenchError), name_memory_errors(resident.device):
            evidence = evidence_picture(network, prediction, pixels, dataset.classes, dataset.palette)
            if evidence is not None:
                Image.fromarray(evidence).save(folder / f"{name}.evidence.png")


def choose_evenly(length: int, count: int) -> list[int]:
    """Return at most `count` indices spread evenly over a sequence, in order.

    >>> choose_evenly(10, 3), choose_evenly(2, 4)
    ([0, 4, 9], [0, 1])
    """
    return sorted({round(index) for index in np.linspace(0, length - 1, min(count, length)).tolist()})


def file_name(sample_id: str) -> str:
    """Return an id as a file name; what a name cannot hold is percent-encoded.

    >>> file_name("aachen/000 1")
    'aachen%2F000 1'
    """
    return quote(sample_id, safe=" ")
