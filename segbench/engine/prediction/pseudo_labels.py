"""Pseudo-labels: a network's confident predictions, written as a dataset in the layout that data/folder reads.

images/<stem>.*      copies of the images
masks/<stem>.png     class ids; ignore_index where the network's highest class probability is below the threshold
splits/train.txt     every stem: pseudo-labels are for training; scores against them would mean nothing
dataset.json         classes, palette, ignore_index
pseudo-labels.json   the share that was kept and, where the truth is given, its accuracy (`PseudoLabelReport`)
"""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segbench.engine.data.user_files import find_images, read_label_map
from segbench.engine.evaluation.confusion import confusion_matrices
from segbench.engine.pictures.drawing import label_map
from segbench.errors import DataError, OptionError, list_some
from segbench.images import MASK_ENDINGS, image_files
from segbench.images.files import same_name
from segbench.stats.scores import iou, miou, pixel_accuracy

from .predict import label_map_paths, read_and_predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.engine.recorded import RecordedNetwork
    from segbench.store.description import DatasetDescription

    Counts = NDArray[np.int64]
    Labels = NDArray[np.integer[Any]]


IMAGES, MASKS, SPLIT = "images", "masks", Path("splits") / "train.txt"
DESCRIPTION, REPORT = "dataset.json", "pseudo-labels.json"


@dataclass(frozen=True)
class ClassReport:
    """One class: pixels predicted as it, those kept, and their share; null where the divisor is 0.

    `share` is the class's part of all kept pixels. Against the truth: `accuracy` is the share of its kept labels that
    are right, `iou` the IoU over kept pixels, `truth_share` its part of all labelled pixels, `kept_share` its part of
    the kept ones among these.
    """

    name: str
    predicted: int
    kept: int
    coverage: float | None
    share: float
    accuracy: float | None = None
    iou: float | None = None
    truth_share: float | None = None
    kept_share: float | None = None


@dataclass(frozen=True)
class PseudoLabelReport:
    """The share of one cell's labels that was kept, and how accurate these are; shares in [0, 1].

    `judged` is the number of kept pixels whose true class is known, 0 without truth; `pixel_accuracy` and `miou`
    (stats.scores) count these alone. `drift` is the total variation distance between the classes' shares of these
    pixels and of all pixels whose true class is known: 0 where they agree, 1 where they have no class in common.
    """

    cell: str
    threshold: float
    images: int
    pixels: int
    coverage: float
    highest_probability: float
    judged: int
    pixel_accuracy: float | None
    miou: float | None
    drift: float | None
    classes: tuple[ClassReport, ...]


@dataclass(frozen=True)
class ImageCounts:
    """Pixels of one image or of several: predicted and kept by class (K,), the highest probability.

    `confusion` (K, K) compares the truth with the kept labels, `truth` (K,) counts all pixels whose class is known.
    """

    predicted: Counts
    kept: Counts
    highest: float
    confusion: Counts
    truth: Counts


def write_pseudo_labels(
    recorded: RecordedNetwork, images: Sequence[Path], output: Path, threshold: float, truth: Path | None = None
) -> PseudoLabelReport:
    """Label images by a network where its highest class probability is at least `threshold`, as a dataset's folder.

    `images` are files and folders of files. `truth` is a folder of label maps named by the images' stems, or a
    dataset's folder with such `masks/`; ignore_index may stand where the class is unknown. Either the whole folder is
    written, or nothing.

    Raises OptionError for a threshold outside 0 to 1; DataError if `output` holds something, an image is missing or
    cannot be read, two have one stem, an image has no truth or one that does not fit, and if no pixel reaches the
    threshold.
    """
    if not 0 <= threshold <= 1:
        raise OptionError(f"the threshold of pseudo-labels is {threshold}; give a probability from 0 to 1")
    targets = label_map_paths(find_images(images), output / MASKS)
    truths = {} if truth is None else find_truth(truth, list(targets))
    with _create_folder(output) as folder:
        for part in (IMAGES, MASKS, SPLIT.parent):
            (folder / part).mkdir()
        counts = []
        for path, target in targets.items():
            labels, counted = label_image(recorded, path, threshold, truths.get(path))
            _write_sample(folder, path, target.name, labels, recorded.dataset)
            counts.append(counted)
        report = build_report(recorded, threshold, counts)
        _refuse_nothing_kept(report)
        _write_descriptions(folder, recorded, report, [path.stem for path in targets])
    return report


def _write_sample(folder: Path, image: Path, mask: str, labels: Labels, dataset: DatasetDescription) -> None:
    """Write the mask of an image and a copy of the image."""
    label_map(labels, dataset.palette, dataset.ignore_index).save(folder / MASKS / mask)
    shutil.copyfile(image, folder / IMAGES / image.name)


def find_truth(folder: Path, images: Sequence[Path]) -> dict[Path, Path]:
    """Return the label map of each image, that of the same stem in `folder` or in its `masks/`.

    Label maps of other images are allowed. Raises DataError that names the images without one.
    """
    place = folder / MASKS if (folder / MASKS).is_dir() else folder
    if not place.is_dir():
        raise DataError(f"there is no folder {folder} of true label maps")
    found = {same_name(path.stem): path for path in image_files(place, MASK_ENDINGS)}
    missing = [path.name for path in images if same_name(path.stem) not in found]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(images)} images have no true label map in {place} ({list_some(missing)}); "
            f"each needs one named by its stem, such as {images[0].stem}.png"
        )
    return {path: found[same_name(path.stem)] for path in images}


def label_image(
    recorded: RecordedNetwork, path: Path, threshold: float, truth: Path | None
) -> tuple[Labels, ImageCounts]:
    """Return the labels (H, W) of one image, ignore_index where the network is not confident, and their counts."""
    ignore_index, num_classes = recorded.dataset.ignore_index, len(recorded.dataset.classes)
    _, prediction = read_and_predict(recorded, path)
    top = prediction.probabilities.amax(dim=1)[0].cpu().numpy()
    labels = prediction.labels.astype(np.uint16)
    kept = top >= threshold
    unknown = np.full(labels.shape, ignore_index, dtype=np.int64)
    known = (
        unknown
        if truth is None
        else read_label_map(truth, unknown, recorded.dataset.palette, ignore_index, recorded.dataset.reading)
    )
    counts = ImageCounts(
        predicted=np.bincount(labels.ravel(), minlength=num_classes),
        kept=np.bincount(labels[kept], minlength=num_classes),
        highest=float(np.fmax.reduce(top.ravel())),  # fmax leaves NaN out
        confusion=_confusion(labels, np.where(kept, known, ignore_index), num_classes, ignore_index),
        truth=np.bincount(known[known != ignore_index], minlength=num_classes),
    )
    return np.where(kept, labels, ignore_index), counts


def build_report(recorded: RecordedNetwork, threshold: float, counts: Sequence[ImageCounts]) -> PseudoLabelReport:
    """Return the report of all images."""
    total = _add_up(counts)
    pixels, compared = int(total.predicted.sum()), int(total.confusion.sum())
    truth_shares, kept_shares = _shares(total.truth), _shares(total.confusion.sum(axis=0))
    return PseudoLabelReport(
        cell=recorded.key,
        threshold=threshold,
        images=len(counts),
        pixels=pixels,
        coverage=float(total.kept.sum() / pixels),
        highest_probability=total.highest,
        judged=compared,
        pixel_accuracy=pixel_accuracy(total.confusion),
        miou=miou(total.confusion),
        drift=float(np.abs(kept_shares - truth_shares).sum() / 2) if compared else None,
        classes=tuple(_class_reports(recorded.dataset, total, truth_shares, kept_shares)),
    )


def _class_reports(
    dataset: DatasetDescription, total: ImageCounts, truth_shares: NDArray[Any], kept_shares: NDArray[Any]
) -> Iterator[ClassReport]:
    right, compared = np.diag(total.confusion), total.confusion.sum(axis=0)
    ious, shares = iou(total.confusion), _shares(total.kept)
    for index, name in enumerate(dataset.classes):
        yield ClassReport(
            name=name,
            predicted=int(total.predicted[index]),
            kept=int(total.kept[index]),
            coverage=_ratio(total.kept[index], total.predicted[index]),
            share=float(shares[index]),
            accuracy=_ratio(right[index], compared[index]),
            iou=None if np.isnan(ious[index]) else float(ious[index]),
            truth_share=float(truth_shares[index]) if total.truth.any() else None,
            kept_share=float(kept_shares[index]) if compared.any() else None,
        )


def _add_up(counts: Sequence[ImageCounts]) -> ImageCounts:
    return ImageCounts(
        predicted=np.sum([one.predicted for one in counts], axis=0),
        kept=np.sum([one.kept for one in counts], axis=0),
        highest=float(np.fmax.reduce([one.highest for one in counts])),
        confusion=np.sum([one.confusion for one in counts], axis=0),
        truth=np.sum([one.truth for one in counts], axis=0),
    )


def _confusion(labels: Labels, truth: Labels, num_classes: int, ignore_index: int) -> Counts:
    prediction, target = (torch.from_numpy(pixels.astype(np.int64))[None] for pixels in (labels, truth))
    counts: Counts = confusion_matrices(prediction, target, num_classes, ignore_index)[0].numpy()
    return counts


def _shares(counts: Counts) -> NDArray[np.float64]:
    """Return counts as parts of their sum; 0 where that is 0."""
    shares: NDArray[np.float64] = counts / max(1, counts.sum())
    return shares


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _refuse_nothing_kept(report: PseudoLabelReport) -> None:
    if not any(entry.kept for entry in report.classes):
        highest = report.highest_probability
        raise DataError(
            f"no pixel of {report.images} images reaches the probability {report.threshold:g}; the highest is "
            f"{highest:.9g}. Choose a threshold below it, or a cell that was trained for longer; nothing was written"
        )


def _write_descriptions(
    folder: Path, recorded: RecordedNetwork, report: PseudoLabelReport, stems: Sequence[str]
) -> None:
    dataset = recorded.dataset
    classes = [
        {"id": index, "name": name, "rgb": list(colour)}
        for index, (name, colour) in enumerate(zip(dataset.classes, dataset.palette, strict=True))
    ]
    source = f"Labels predicted by segbench cell {report.cell} where its probability is {report.threshold:g} or more"
    description = {"classes": classes, "ignore_index": dataset.ignore_index, "citation": source}
    (folder / SPLIT).write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    _write_json(folder / DESCRIPTION, description)
    _write_json(folder / REPORT, asdict(report))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def _create_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `output` if the block ends without an error, and otherwise is removed.

    Raises DataError if `output` is a file or holds something.
    """
    output = output.resolve()
    _check_is_free(output)
    place = next(parent for parent in output.parents if parent.is_dir())
    temporary = place / f".{output.name}.{secrets.token_hex(4)}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.is_dir():
            output.rmdir()
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_is_free(output: Path) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        raise DataError(f"{output} is a file; choose a new folder with -o")
    held = sorted(path.name for path in output.iterdir())
    if held:
        raise DataError(f"{output} already holds {list_some(held)}; choose a new or empty folder with -o")
