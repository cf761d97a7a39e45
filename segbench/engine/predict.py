"""Label maps and overlays of image files, by the network of a recorded cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from segbench.errors import DataError

from .colours import label_map, overlay
from .environment import resolve_device
from .image_files import find_images, read_image
from .inference import predict_labels
from .memory import memory_errors_named
from .recorded import find_record, load_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .recorded import RecordedNetwork


def load_cell(cell: str, results: Path, device: str) -> RecordedNetwork:
    """Return the network of the recorded cell with this key, beginning of a key, or record path."""
    return load_network(find_record(cell, results), resolve_device(device))


def predict_files(recorded: RecordedNetwork, images: Sequence[Path], output: Path) -> Iterator[Path]:
    """Write for each image <stem>.png, a palette PNG of class ids, and <stem>.overlay.png; yield each label map's path.

    `images` are files and folders of files. Both pictures have the size of the image. Raises DataError, before anything
    is written, if an image is missing, two bear one stem, or a label map would replace an image; later for an image
    that cannot be read.
    """
    targets = label_map_paths(find_images(images), output)
    output.mkdir(parents=True, exist_ok=True)
    for path, target in targets.items():
        predict_file(recorded, path, target)
        yield target


def label_map_paths(images: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Return where the label map of each image goes."""
    by_target: dict[Path, Path] = {}
    for path in images:
        target = output / f"{path.stem}.png"
        other = by_target.setdefault(target, path)
        if other != path:
            raise DataError(f"{other} and {path} would both be written to {target}; predict them into two folders")
    written = {name.absolute() for target in by_target for name in (target, overlay_path(target))}
    for path in images:
        if path.absolute() in written:
            raise DataError(f"the image {path} would be overwritten; choose another folder with -o")
    return {path: target for target, path in by_target.items()}


def overlay_path(target: Path) -> Path:
    """Return where the overlay beside a label map goes."""
    return target.with_name(f"{target.stem}.overlay.png")


def predict_file(recorded: RecordedNetwork, path: Path, target: Path) -> None:
    """Write the label map and the overlay of one image."""
    dataset = recorded.dataset
    image = read_image(path, dataset.channels)
    device = next(recorded.network.parameters()).device
    with memory_errors_named(device):
        pixels = torch.from_numpy(image).to(device)
        labels = predict_labels(recorded.network, pixels, int(np.iinfo(image.dtype).max), recorded.protocol)
    label_map(labels, dataset.palette, dataset.ignore_index).save(target)
    Image.fromarray(overlay(image, labels, dataset.palette)).save(overlay_path(target))
