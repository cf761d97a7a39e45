"""The few sample pictures that are kept beside a record."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image

from .colours import label_map, panel
from .inference import predict_labels

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from segbench.contracts import Dataset
    from segbench.spec.protocol import Protocol

    from .data.resident import ResidentSplit


def write_samples(
    folder: Path, network: nn.Module, resident: ResidentSplit, dataset: Dataset, protocol: Protocol
) -> None:
    """Write, for `protocol.keep.samples` images spread evenly over a split, the predicted label map and a panel.

    <id>.png is the label map, a palette PNG; <id>.panel.png shows image, truth, prediction and the prediction over the
    image. All methods of a benchmark show the same images. Leaves the network in evaluation mode.
    """
    network.eval()
    places = spread(len(resident), protocol.keep.samples)
    if places:
        folder.mkdir(parents=True, exist_ok=True)
    for index in places:
        image = resident.image(index)
        prediction = predict_labels(network, image, resident.white, protocol)
        truth = resident.labels(index).cpu().numpy()
        name = file_name(resident.ids[index])
        label_map(prediction, dataset.palette, dataset.ignore_index).save(folder / f"{name}.png")
        picture = panel(image.cpu().numpy(), truth, prediction, dataset.palette)
        Image.fromarray(picture).save(folder / f"{name}.panel.png")


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
