"""The ground-truth self-test of a dataset: its truth scores exactly 1, and a guess what its class counts say.

Both label maps go through the counting code of evaluation. What they must give is worked out from the labels by other
means, so a dataset, a decoder or a counter that shifts ids or counts ignored pixels does not pass.
"""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from segbench.engine.data.dataset import choose_evenly
from segbench.engine.data.samples import count_labels
from segbench.engine.model.mapping import FieldForm, palette_colours, palette_image
from segbench.engine.model.network import Decoded
from segbench.errors import DataError
from segbench.images.pixels import row_bands
from segbench.stats.scores import scores
from segbench.store.counts import Counts

from .confusion import classify, confusion_matrices
from .label_counts import Rules, concatenate, label_counts
from .small_objects import mark_small_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from segbench.contract import Dataset
    from segbench.engine.data.cache import PackedSplit

    Pixels = NDArray[np.int64]


# The most images whose boundaries are counted, which takes some ten times as long as counting pixels.
BOUNDARY_IMAGES = 16
# Boundaries of larger images are counted in a corner of so many pixels a side.
BOUNDARY_SIDE = 2048
CONFUSION_SCORES = ("miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice", "per_image_miou")
BOUNDARY_SCORES = ("boundary_iou", "boundary_f1")

# Means over classes are rounded; the counts behind them are compared exactly.
ROUNDING = 1e-12

_WHY = "Either class ids or ignore_index are not what the dataset declares, or segbench has a bug: please report it."


def self_test(who: str, packed: PackedSplit) -> float | None:
    """Score the truth of a split against itself, and class 0 everywhere; return the latter's mIoU in [0, 1].

    It is None if no pixel of the split is labelled. `who` names the dataset in messages. Raises DataError naming
    dataset, split and image where a label is no class, where counts are not those of the labels, or where a score is
    not what follows from them.
    """
    where = f"{who}: split {packed.split!r}"
    pixels = np.stack([_class_pixels(packed, index, where) for index in range(len(packed))])
    _check_decoded(pixels, packed, where)
    if not pixels.any():
        return None
    truth, guess = _count_both(packed, pixels, where)
    _check_scores(truth, dict.fromkeys(CONFUSION_SCORES, 1.0), f"{where}: truth against itself")
    _check_scores(guess, scores_of_a_guess(pixels), f"{where}: class 0 everywhere")
    labelled = np.flatnonzero(pixels.any(axis=1)).tolist()
    boundaries = _boundary_counts(packed, [labelled[place] for place in choose_evenly(len(labelled), BOUNDARY_IMAGES)])
    if boundaries.boundary is not None and boundaries.boundary.any():  # labels amid ignored pixels have no boundary
        _check_scores(boundaries, dict.fromkeys(BOUNDARY_SCORES, 1.0), f"{where}: truth against itself")
    return scores(guess).miou


def find_confused_classes(dataset: Dataset) -> list[tuple[str, str]]:
    """Return each class whose palette colour decodes to another class, and that other one; empty if all is well.

    Generators of palette colours are decoded to the class with the nearest colour.
    """
    everything = torch.arange(len(dataset.classes))[None, None]
    decoded = paint_and_decode(everything, dataset)[0, 0].tolist()
    return [(dataset.classes[i], dataset.classes[other]) for i, other in enumerate(decoded) if i != other]


def paint_and_decode(labels: torch.Tensor, dataset: Dataset) -> torch.Tensor:
    """Paint labels (N, H, W) in their palette colours, and decode them as a network's output would be."""
    form = FieldForm(len(dataset.classes), dataset.ignore_index, dataset.palette)
    colours = palette_colours(form.palette, labels.device)
    return classify(Decoded(nn.Identity(), colours)(palette_image(labels, form)))


def scores_of_a_guess(pixels: Pixels) -> dict[str, float]:
    """Return what class 0 everywhere must score for images whose pixels by class are `pixels` (n, K).

    >>> scores_of_a_guess(np.array([[3, 1, 0]]))["miou"]  # IoU 3/4 and 0
    0.375
    """
    total = pixels.sum(axis=0)
    share, present = int(total[0]) / int(total.sum()), int((total > 0).sum())
    occurring = _count_occurring(total)
    labelled = pixels[pixels.any(axis=1)]
    return {
        "miou": share / occurring,
        "pixel_accuracy": share,
        "mean_accuracy": float(total[0] > 0) / present,
        "fwiou": share**2,
        "dice": 2 * share / (1 + share) / occurring,
        "per_image_miou": float(np.mean([image[0] / image.sum() / _count_occurring(image) for image in labelled])),
    }


def _count_occurring(pixels: Pixels) -> int:
    """Return how many classes are in the truth or in the guess."""
    return 1 + int((pixels[1:] > 0).sum())


def _class_pixels(packed: PackedSplit, index: int, where: str) -> Pixels:
    """Count the labelled pixels of one image by class, (K,), straight from its labels."""
    found = count_labels(packed.labels(index))
    found[packed.ignore_index : packed.ignore_index + 1] = 0
    labelled = np.flatnonzero(found)
    pixels = np.zeros(max(packed.num_classes, len(found)), dtype=np.int64)
    pixels[: len(found)] = found
    if labelled.size and labelled[-1] >= packed.num_classes:
        raise DataError(
            f"{where}, image {packed.ids[index]!r} is labelled {labelled[-1]}; allowed are the class ids 0 to "
            f"{packed.num_classes - 1}, and {packed.ignore_index} for ignored pixels; correct the labels, or the "
            "classes and ignore_index that the dataset declares"
        )
    return pixels[: packed.num_classes]


def _check_decoded(pixels: Pixels, packed: PackedSplit, where: str) -> None:
    """Refuse labels that are not those that were decoded."""
    if (pixels.sum(axis=0) != packed.class_pixels()).any():
        raise DataError(
            f"{where}: the cache holds other labels than were decoded, {pixels.sum(axis=0).tolist()} pixels by class "
            f"instead of {packed.class_pixels().tolist()}; delete the dataset's folder in the cache, and prepare again"
        )


def _count_both(packed: PackedSplit, pixels: Pixels, where: str) -> tuple[Counts, Counts]:
    """Return the counts of truth against itself and of class 0 everywhere; DataError where they are not the labels'."""
    perfect, guessed = [], []
    for index, expected in enumerate(pixels):
        truth, guess = _count_image(packed, index)
        perfect.append(truth)
        guessed.append(guess)
        image = f"{where}, image {packed.ids[index]!r}"
        _check_counts(perfect[-1], np.diag(expected), f"{image}: truth against itself")
        _check_counts(guessed[-1], np.outer(expected, np.eye(len(expected), dtype=np.int64)[0]), f"{image}: class 0")
    return _as_counts(packed, perfect), _as_counts(packed, guessed)


def _count_image(packed: PackedSplit, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the confusion (1, K, K) of one image's truth with itself and with class 0, counted in bands of rows."""
    classes = packed.num_classes
    perfect, guessed = torch.zeros(2, 1, classes, classes, dtype=torch.int64)
    for rows in row_bands(*packed.index.sizes[index]):
        truth = _labels(packed, index, rows)
        perfect += confusion_matrices(_as_prediction(truth, packed), truth, classes, packed.ignore_index)
        guessed += confusion_matrices(torch.zeros_like(truth), truth, classes, packed.ignore_index)
    return perfect, guessed


def _boundary_counts(packed: PackedSplit, indices: Sequence[int]) -> Counts:
    """Return all counts of some images, or of a corner of large ones, truth against itself."""
    rules = Rules(packed.num_classes, packed.ignore_index)
    parts = []
    for index in indices:
        truth = _labels(packed, index, slice(BOUNDARY_SIDE))[..., :BOUNDARY_SIDE]
        small = mark_small_objects(truth[0].numpy(), packed.num_classes, packed.ignore_index)
        parts.append(label_counts(_as_prediction(truth, packed), truth, torch.from_numpy(small)[None], rules))
    ids = tuple(packed.ids[index] for index in indices)
    return Counts(ids=ids, split=packed.split, clusters=None, **concatenate(parts))


def _labels(packed: PackedSplit, index: int, rows: slice) -> torch.Tensor:
    return torch.from_numpy(packed.labels(index)[rows].astype(np.int64))[None]


def _as_prediction(truth: torch.Tensor, packed: PackedSplit) -> torch.Tensor:
    """Return the truth as a network would predict it, which always sees a class: where it is ignored, class 0."""
    return truth.masked_fill(truth == packed.ignore_index, 0)


def _as_counts(packed: PackedSplit, matrices: list[torch.Tensor]) -> Counts:
    return Counts(ids=packed.ids, split=packed.split, confusion=torch.cat(matrices).numpy())


def _check_counts(found: torch.Tensor, expected: Pixels, what: str) -> None:
    """Refuse counts (1, K, K) that are not the expected ones (K, K); name the first class that is counted wrong."""
    counted = found[0].numpy()
    wrong = np.flatnonzero((counted != expected).any(axis=1))
    if wrong.size:
        name = wrong[0]
        right = np.minimum(counted[name], expected[name]).sum()
        raise DataError(
            f"{what}: {counted[name].sum()} pixels of class {name} are counted, {right} of them correctly; its "
            f"labels hold {expected[name].sum()} of that class. {_WHY}"
        )


def _check_scores(counts: Counts, expected: Mapping[str, float], what: str) -> None:
    found = scores(counts)
    for name, value in expected.items():
        score: Any = getattr(found, name)
        if score is None or not isclose(score, value, rel_tol=0, abs_tol=ROUNDING):
            raise DataError(f"{what} has a {name} of {score}; it must be {value:.6g}. {_WHY}")
