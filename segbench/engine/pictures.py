"""Pictures of label maps: palette PNGs, overlays, and panels that show image, truth and prediction side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import torch
from PIL import Image

from .confusion import classify
from .data.batches import normalise
from .precision import memory_format
from .windows import class_scores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from segbench.contracts import Dataset
    from segbench.spec.protocol import Protocol

    from .data.resident import ResidentSplit

    Palette = Sequence[Sequence[int]]

_LARGEST_PALETTE = 256  # what a palette PNG can hold
_GAP = 4  # white pixels between the parts of a panel
_IGNORED = (255, 255, 255)


def write_samples(
    folder: Path, network: torch.nn.Module, resident: ResidentSplit, dataset: Dataset, protocol: Protocol
) -> None:
    """Write, for `protocol.keep.samples` images spread evenly over a split, the predicted label map and a panel.

    <id>.png is the label map, <id>.panel.png shows image, truth, prediction and the prediction over the image. All
    methods of a benchmark show the same images. Characters of an id that a file name cannot have are percent-encoded.
    """
    network.eval()
    for index in spread(len(resident), protocol.keep.samples):
        image = resident.image(index)
        prediction = predict_labels(network, image, resident.white, protocol)
        name = file_name(resident.ids[index])
        folder.mkdir(parents=True, exist_ok=True)
        label_map(prediction, dataset.palette, dataset.ignore_index).save(folder / f"{name}.png")
        truth = resident.labels(index).cpu().numpy()
        panel(image.cpu().numpy(), truth, prediction, dataset.palette).save(folder / f"{name}.panel.png")


def predict_labels(
    network: torch.nn.Module, image: torch.Tensor, white: int, protocol: Protocol
) -> NDArray[np.integer[Any]]:
    """Return the classes (H, W) that a network sees in one image (C, H, W), on whose device the network is."""
    layout = memory_format(protocol.channels_last)
    scores = class_scores(
        network, normalise(image[None], white, layout), precision=protocol.precision, window=protocol.window
    )
    labels: NDArray[np.integer[Any]] = classify(scores)[0].cpu().numpy()
    return labels


def spread(length: int, count: int) -> list[int]:
    """Return at most `count` places spread evenly over a sequence, in order.

    >>> spread(10, 3), spread(2, 4)
    ([0, 4, 9], [0, 1])
    """
    return sorted({round(place) for place in np.linspace(0, length - 1, min(count, length)).tolist()})


def file_name(sample_id: str) -> str:
    """Return an id as a file name, its slashes and the like percent-encoded.

    >>> file_name("aachen/000 1")
    'aachen%2F000 1'
    """
    return quote(sample_id, safe=" ")


def label_map(labels: NDArray[np.integer[Any]], palette: Palette, ignore_index: int) -> Image.Image:
    """Return labels (H, W) as an image whose pixel values are the labels.

    It has 8 bits and a palette with ignored pixels in white; with more than 256 labels it has 16 bits and no colours.
    """
    if max(len(palette) - 1, ignore_index) >= _LARGEST_PALETTE:
        return Image.fromarray(labels.astype(np.uint16))
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(_colour_table(palette, _LARGEST_PALETTE).tobytes())
    return image


def overlay(
    image: NDArray[Any], labels: NDArray[np.integer[Any]], palette: Palette, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image (C, H, W) with the colours of its labels (H, W) over it, as (H, W, 3); ignored pixels stay clear."""
    picture = as_rgb(image).astype(np.float32)
    share = np.where(labels < len(palette), np.float32(opacity), np.float32(0))[..., None]
    return np.rint(picture + share * (colours(labels, palette) - picture)).astype(np.uint8)


def panel(
    image: NDArray[Any], truth: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]], palette: Palette
) -> Image.Image:
    """Return image, truth, prediction and the prediction over the image, from left to right."""
    parts = [as_rgb(image), colours(truth, palette), colours(prediction, palette), overlay(image, prediction, palette)]
    gap = np.full((truth.shape[0], _GAP, 3), 255, dtype=np.uint8)
    row = [strip for part in parts for strip in (part, gap)][:-1]
    return Image.fromarray(np.concatenate(row, axis=1))


def colours(labels: NDArray[np.integer[Any]], palette: Palette) -> NDArray[np.uint8]:
    """Return labels (H, W) as colours (H, W, 3), ignored pixels in white."""
    return _colour_table(palette, len(palette) + 1)[np.minimum(labels, len(palette))]


def as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image (C, H, W) of 8 or 16 bits as (H, W, 3): one channel as grey, of many the first three.

    16-bit images rarely use their whole range, so the brightest value becomes white.
    """
    channels = image.shape[0]
    chosen = image[[0, 0, 0]] if channels == 1 else image[[0, 1, min(2, channels - 1)]]
    if chosen.dtype != np.uint8:
        chosen = (chosen * (255.0 / max(1, chosen.max()))).astype(np.uint8)
    return np.ascontiguousarray(chosen.transpose(1, 2, 0))


def _colour_table(palette: Palette, length: int) -> NDArray[np.uint8]:
    """Return the colours of labels 0 to `length` - 1, (length, 3)."""
    table = np.full((length, 3), _IGNORED, dtype=np.uint8)
    table[: len(palette)] = palette
    return table
