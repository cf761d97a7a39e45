"""Label maps, overlays and explanations of image files, by the network of a recorded cell."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from segbench.engine.data.batches import normalise
from segbench.engine.data.resizing import check_size
from segbench.engine.data.user_files import find_images
from segbench.engine.device import enter_device
from segbench.engine.evaluation.confusion import classify
from segbench.engine.evaluation.inference import band_window, predict_image, window_probabilities
from segbench.engine.numerics import apply_numeric_settings, memory_format, name_device_errors
from segbench.engine.pictures.drawing import label_map, overlay, stack
from segbench.engine.pictures.explain import discriminator_picture, evidence_picture
from segbench.engine.recorded import load_segmenter
from segbench.errors import DataError, OptionError, RecordError
from segbench.images import Reading, read_image
from segbench.images.files import is_zarr
from segbench.store.atomic import replacing, say_cause
from segbench.store.pictures import shorten_name
from segbench.store.whole_folder import check_replaceable

from .arrays import ImageArray, is_label_map, open_zarr, writing_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any, Literal

    from numpy.typing import NDArray

    from segbench.engine.evaluation.inference import Prediction
    from segbench.engine.pictures.drawing import Labels, Picture
    from segbench.engine.recorded import RecordedNetwork
    from segbench.store.description import DatasetDescription

    Orientation = Literal["refuse", "apply", "stored"]


# Bytes that file systems allow for the name of a file.
LONGEST_NAME = 255


def load_cell(
    record: Path, device: str, orientation: Orientation | None = None, max_pixels: int | None = None
) -> RecordedNetwork:
    """Return the network of a recorded cell, from the path of its record.

    The process gets the cell's threads and precision. Images are read as those that it was trained on, but with the
    `orientation` and within the `max_pixels` that are given. Unless its dataset applied orientation tags, images with
    one are refused. Raises RecordError if there is no such network, or if it makes images and no label maps.
    """
    recorded = load_segmenter(record, enter_device(device))
    apply_numeric_settings(recorded.protocol)
    trained = recorded.dataset.reading
    reading = Reading(
        orientation=orientation or ("apply" if trained.orientation == "apply" else "refuse"),
        bits=trained.bits,
        max_pixels=max_pixels or trained.max_pixels,
    )
    return replace(recorded, dataset=recorded.dataset.model_copy(update={"reading": reading}))


def predict_files(recorded: RecordedNetwork, images: Sequence[Path], output: Path) -> Iterator[Path]:
    """Write for each image <stem>.png, a palette PNG of class ids, and <stem>.overlay.png; yield each label map's path.

    `images` are files, zarr arrays, and folders of these. Both pictures have the size of the image; of a zarr array the
    label map alone is written, <stem>.zarr. One image is read, predicted and written before the next is read. Raises
    DataError, before anything is written, if an image is missing, two have one stem, or a label map would replace an
    image, and after all others are written for images that cannot be read; RecordError for what cannot be written.
    """
    return _write_each(images, output, partial(_write_prediction, recorded))


def explain_files(
    recorded: RecordedNetwork, images: Sequence[Path], output: Path, layer: str | None = None
) -> Iterator[Path]:
    """Write what `predict_files` writes and <stem>.explain.png, why it was predicted; yield each label map's path.

    The explanation shows the evidence for each class at `layer`, a name of the network's `named_modules()` (by default
    `explain.default_layer`), and the discriminator's scores of the prediction where a discriminator was kept. Raises
    OptionError for a layer that does not fit, or if there is neither; otherwise as `predict_files` does.
    """
    return _write_each(images, output, partial(_write_explanation, recorded, layer))


def _write_each(images: Sequence[Path], output: Path, write: Callable[[Path, Path], None]) -> Iterator[Path]:
    """Have each image and the path of its label map written; yield the latter, at last raise the DataErrors as one.

    What ends it before has those that there were until then as a note.
    """
    targets = label_map_paths(find_images(images), output)
    failed: list[str] = []  # errors themselves would hold the pixels of their images
    for number, (path, target) in enumerate(targets.items()):
        try:
            write(path, target)
        except DataError as error:
            failed.append(str(error))
        except (Exception, KeyboardInterrupt) as end:
            if failed:
                end.add_note(_list_failed(failed, f"the {number} images before"))
            raise
        else:
            yield target
    if failed:
        raise DataError(failed[0] if len(targets) == 1 else _list_failed(failed, f"{len(targets)} images"))


def _list_failed(failed: Sequence[str], among: str) -> str:
    return "\n  ".join([f"{len(failed)} of {among} were not predicted:", *failed])


def _write_prediction(recorded: RecordedNetwork, path: Path, target: Path) -> None:
    dataset = recorded.dataset
    if is_zarr(path):
        array = open_zarr(path, dataset.channels, dataset.reading)
        with writing_labels(target, array, recorded) as written:
            for rows, labels in predict_bands(recorded, array):
                written[rows] = labels
    else:
        image = read_array(dataset, path)
        labels = np.concatenate([labels for _, labels in predict_bands(recorded, image)])
        save_prediction(dataset, np.moveaxis(image.array, 2, 0), labels, target)


def _write_explanation(recorded: RecordedNetwork, layer: str | None, path: Path, target: Path) -> None:
    pixels, prediction = read_and_predict(recorded, path)
    with name_device_errors(prediction.images.device):
        explanation = explain(recorded, prediction, pixels, layer)
    save_prediction(recorded.dataset, pixels, prediction.labels, target)
    _save(Image.fromarray(explanation), explanation_path(target))


def label_map_paths(images: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Return where the label map of each image goes; DataError or RecordError if it would replace something else."""
    by_target: dict[Path, Path] = {}
    for path in images:
        target = output / f"{path.stem}{'.zarr' if is_zarr(path) else '.png'}"
        other = by_target.setdefault(target, path)
        if other != path:
            raise DataError(f"{other} and {path} would both be written to {target}; predict them into two folders")
    written = {
        name.absolute() for target in by_target for name in (target, overlay_path(target), explanation_path(target))
    }
    for path in images:
        if path.absolute() in written:
            raise DataError(f"the image {path} would be overwritten; choose another folder with -o")
    for target, path in by_target.items():
        if is_zarr(path) and target.exists():
            check_replaceable(target, is_label_map)
    return {path: target for target, path in by_target.items()}


def overlay_path(target: Path) -> Path:
    """Return where the overlay beside a label map goes."""
    return _beside(target, ".overlay.png")


def explanation_path(target: Path) -> Path:
    """Return where the explanation beside a label map goes."""
    return _beside(target, ".explain.png")


def _beside(target: Path, ending: str) -> Path:
    """Return a label map's name with another ending, shortened where no file system takes it."""
    return target.with_name(shorten_name(target.stem, LONGEST_NAME - len(ending)) + ending)


def read_and_predict(recorded: RecordedNetwork, path: Path) -> tuple[NDArray[Any], Prediction]:
    """Return the pixels (C, H, W) of an image file, and the network's prediction for it; DataError as `read_array`."""
    return predict_whole(recorded, read_array(recorded.dataset, path))


def read_array(dataset: DatasetDescription, path: Path) -> ImageArray:
    """Return an image file as images of a dataset are read; DataError if it cannot be read, or is a zarr array."""
    if is_zarr(path):
        raise DataError(f"{path}: of a zarr array label maps alone are written; save it as TIFF for anything else")
    return ImageArray(path, read_image(path, dataset.channels, dataset.reading))


def predict_whole(recorded: RecordedNetwork, image: ImageArray) -> tuple[NDArray[Any], Prediction]:
    """Return the pixels (C, H, W) of an image, and the network's prediction for it."""
    if recorded.protocol.resize is not None:
        check_size(str(image.path), image.size, recorded.protocol.resize, recorded.dataset.reading.max_pixels)
    pixels, device = image.read(slice(None), slice(None)), next(recorded.network.parameters()).device
    with name_device_errors(device):
        given = torch.from_numpy(pixels).to(device)
        return pixels, predict_image(recorded.network, given, image.white, recorded.protocol)


def predict_bands(recorded: RecordedNetwork, image: ImageArray) -> Iterator[tuple[slice, Labels]]:
    """Yield rows of an image from top to bottom, and their labels (h, W).

    Large images that the protocol evaluates with a window are read and predicted some rows at a time, others whole.
    """
    protocol, size = recorded.protocol, image.size
    window, layout = band_window(protocol, size, protocol.seen_size(size)), memory_format(protocol.channels_last)
    if window is None:
        yield slice(0, size[0]), predict_whole(recorded, image)[1].labels
        return
    device = next(recorded.network.parameters()).device

    def read(rows: slice, columns: slice) -> torch.Tensor:
        return normalise(torch.from_numpy(image.read(rows, columns)[None]).to(device), image.white, layout)

    with name_device_errors(device):
        for rows, scores in window_probabilities(recorded.network, read, size, window, device, protocol.precision):
            yield rows, classify(scores)[0].cpu().numpy()


def save_prediction(dataset: DatasetDescription, image: NDArray[Any], labels: Labels, target: Path) -> None:
    """Write the label map and the overlay of one image (C, H, W)."""
    _save(label_map(labels, dataset.palette, dataset.ignore_index), target)
    _save(Image.fromarray(overlay(image, labels, dataset.palette)), overlay_path(target))


def _save(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all; a link that has its name is replaced, and its target is left alone."""
    try:
        with replacing(path) as file:
            picture.save(file, "PNG")
    except RecordError as error:
        cause = say_cause(error.__cause__) if isinstance(error.__cause__, OSError) else error
        raise RecordError(f"cannot write {path}: {cause}; choose another folder with -o") from error


def explain(recorded: RecordedNetwork, prediction: Prediction, image: NDArray[Any], layer: str | None) -> Picture:
    """Return the evidence for each class and, below, the discriminator's scores; one of them may be missing."""
    dataset = recorded.dataset
    evidence = evidence_picture(recorded.network, prediction, image, dataset.classes, dataset.palette, layer)
    parts = [] if evidence is None else [evidence]
    if recorded.score_map is not None:
        boundary = recorded.score_boundary
        parts.append(discriminator_picture(recorded.score_map, boundary, prediction, image, dataset.palette))
    if not parts:
        raise OptionError(
            "the network has no convolution with more channels than classes, so there is no layer to explain it by; "
            "name a layer that gives feature maps with --layer"
        )
    return stack(parts)
