"""Score a network on a split: per-image counts of its predictions against ground truth.

Labels are compared at their own resolution, to which what is predicted for resized images is resized; a batch at a
time, so no more pixels than those of one batch are held, and of large images evaluated with a window only some rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from segbench.engine.data.batches import groups_of_one_size, runs_of_one_size
from segbench.engine.data.samples import clusters_of
from segbench.engine.numerics import searching_for_kernels
from segbench.engine.ranks import ALONE, Ranks
from segbench.stats.scores import miou
from segbench.store.counts import Counts
from segbench.store.record import Refinement

from .calibration import CalibrationCounter, measure_logits, measure_probabilities
from .confusion import classify, confusion_matrices
from .finite import check_scores, find_nan_images
from .inference import score_bands
from .label_counts import Rules, concatenate, label_counts
from .small_objects import find_small_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from segbench.config.protocol import TrainingProtocol
    from segbench.contract import Dataset
    from segbench.engine.data.resident import ResidentSplit
    from segbench.engine.model.network import Refined

    from .inference import Band


MOST_SEARCHED_SIZES = 4


def evaluate(
    network: nn.Module,
    resident: ResidentSplit,
    protocol: TrainingProtocol,
    dataset: Dataset,
    ranks: Ranks = ALONE,
) -> Counts:
    """Return all counts of every image of a split, whose batches are dealt to processes.

    The network must return logits of the size of its images and is left in evaluation mode. Raises CellError if a score
    is NaN, DataError if the dataset's `cluster` does not return names of groups.
    """
    rules = Rules(len(dataset.classes), dataset.ignore_index, protocol.boundaries, protocol.surface_distances)
    measure = measure_probabilities if protocol.averages else measure_logits
    parts = []
    for indices, bands in _score_batches(network, resident, protocol, ranks):
        counter = CalibrationCounter(dataset.ignore_index, measure)
        prediction, labels = _predict_labels(bands, counter)
        small = find_small_objects(resident.packed, indices, labels.device)
        calibration, likelihood = counter.counts()
        counts = label_counts(prediction, labels, small, rules)
        place = torch.tensor(indices)
        parts.append({"place": place, **counts, "calibration": calibration, "likelihood": likelihood})
    found = concatenate(ranks.collect(parts))
    order = np.argsort(found.pop("place"))
    return Counts(
        ids=resident.ids,
        split=resident.packed.split,
        sizes=resident.sizes,
        clusters=clusters_of(dataset, resident.ids),
        **{name: values[order] for name, values in found.items()},
    )


def _predict_labels(bands: Iterator[Band], counter: CalibrationCounter) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the predicted and the true label maps (N, H, W) of all bands, whose scores are given to the counter."""
    maps = []
    for band in bands:
        prediction = classify(band.scores)
        counter.add(band.scores, prediction, band.labels.long())
        maps.append((prediction, band.labels))
    predictions, labels = zip(*maps, strict=True)
    return (predictions[0], labels[0]) if len(maps) == 1 else (torch.cat(predictions, dim=1), torch.cat(labels, dim=1))


def confusion_counts(
    network: nn.Module,
    resident: ResidentSplit,
    protocol: TrainingProtocol,
    dataset: Dataset,
    ranks: Ranks = ALONE,
) -> NDArray[np.int64]:
    """Return the confusion counts alone of every image that is dealt to this process, (n, K, K).

    Otherwise as `evaluate`.
    """
    classes = len(dataset.classes)
    order: list[int] = []
    matrices = [torch.zeros(0, classes, classes, dtype=torch.int64, device=resident.device)]
    for indices, bands in _score_batches(network, resident, protocol, ranks):
        counted = [
            confusion_matrices(classify(band.scores), band.labels.long(), classes, dataset.ignore_index)
            for band in bands
        ]
        matrices.append(torch.stack(counted).sum(dim=0))
        order += indices
    counts: NDArray[np.int64] = torch.cat(matrices).cpu().numpy()
    return counts[np.argsort(order)]


def validation_miou(
    network: nn.Module,
    resident: ResidentSplit,
    protocol: TrainingProtocol,
    dataset: Dataset,
    ranks: Ranks = ALONE,
) -> float:
    """Return the mIoU of a network on a split from one view of each image, in [0, 1]; 0 where it is undefined."""
    plain = protocol.model_copy(update={"tta": None})
    counted = confusion_counts(network, resident, plain, dataset, ranks).sum(axis=0)
    return miou(ranks.add(torch.from_numpy(counted)).numpy()) or 0.0


def _score_batches(
    network: nn.Module, resident: ResidentSplit, protocol: TrainingProtocol, ranks: Ranks
) -> Iterator[tuple[tuple[int, ...], Iterator[Band]]]:
    """Yield the places of the images of a split, a batch at a time, and their bands; these are all to be used.

    Of several processes each has the batches that are dealt to it. Raises CellError after the last one if a score is
    NaN, since then no class has the largest.
    """
    network.eval()
    order: list[int] = []
    found_nan = [torch.zeros(0, dtype=torch.bool, device=resident.device)]

    def watch(indices: tuple[int, ...]) -> Iterator[Band]:
        found = []
        for band in score_bands(network, resident, indices, protocol):
            found.append(find_nan_images(band.scores))
            yield band
        found_nan.append(torch.stack(found).any(dim=0))

    for indices in ranks.deal(choose_batches(resident, protocol.batch_size)):
        order += indices
        yield indices, watch(indices)
    nan = torch.zeros(len(resident), dtype=torch.bool)
    nan[order] = torch.cat(found_nan).cpu()
    check_scores(nan, resident.ids, resident.packed.split, network)


def choose_batches(resident: ResidentSplit, batch_size: int) -> Iterator[tuple[int, ...]]:
    """Yield the places of the images of a split in batches of one size, at most `batch_size` in each.

    On the CPU they are in order. On another device all of one size come together, since each new shape costs time,
    most of all a search for kernels, which is left out where there are many.
    """
    if resident.device.type == "cpu":
        yield from runs_of_one_size(resident, batch_size)
        return
    with searching_for_kernels(len(set(resident.packed.index.sizes)) <= MOST_SEARCHED_SIZES):
        yield from groups_of_one_size(resident, batch_size, resident.packed.num_classes)


def measure_refinement(
    refined: Refined,
    resident: ResidentSplit,
    protocol: TrainingProtocol,
    dataset: Dataset,
    ranks: Ranks = ALONE,
) -> Refinement:
    """Return the shares of labelled pixels that a refiner changed, and of these corrected and spoilt."""
    refined.eval()
    totals = torch.zeros(4, dtype=torch.int64)
    for indices in ranks.deal(choose_batches(resident, protocol.batch_size)):
        both = (score_bands(network, resident, indices, protocol) for network in (refined.base, refined))
        for band, refined_band in zip(*both, strict=True):
            before, after = classify(band.scores), classify(refined_band.scores)
            totals += pixel_changes(before, after, band.labels.long(), dataset.ignore_index).cpu()
    return change_shares(ranks.add(totals))


def pixel_changes(before: torch.Tensor, after: torch.Tensor, truth: torch.Tensor, ignore_index: int) -> torch.Tensor:
    """Return the numbers of labelled, changed, corrected and spoilt pixels, int64 (4,), of label maps (N, H, W)."""
    valid = truth != ignore_index
    changed = valid & (before != after)
    return torch.stack(
        [pixels.sum() for pixels in (valid, changed, changed & (after == truth), changed & (before == truth))]
    )


def change_shares(totals: torch.Tensor) -> Refinement:
    """Return the shares that the numbers of `pixel_changes` make."""
    labelled, changed, corrected, spoilt = totals.tolist()
    return Refinement(
        changed=changed / max(labelled, 1),
        corrected=corrected / changed if changed else None,
        spoilt=spoilt / changed if changed else None,
    )
