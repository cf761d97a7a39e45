"""Score a network on a split: counts of each image, at native resolution, and never a pixel kept.

What a refiner changed in its base's predictions, and how much of it rightly.

A cell's network as a segmenter, scored on a split.

What is counted of predicted label maps beside the truth, whoever made them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segbench.config.protocol import Boundaries
from segbench.contract import SEGMENTING_MAPS
from segbench.engine.data.batches import evaluation_batches
from segbench.engine.data.dataset import clusters_of
from segbench.engine.model.mapping import palette_colours
from segbench.engine.model.network import Decoded, Refined
from segbench.engine.numerics import memory_format
from segbench.stats.scores import miou
from segbench.store.counts import Counts
from segbench.store.record import Refinement

from .boundary import bands_between_classes, boundary_counts, coded, small_objects, surface_distances, width_in_pixels
from .calibration import calibration_counts, certainty_of_logits, certainty_of_probabilities
from .confusion import classify, confusion_matrices
from .finite import check_scores, nan_images
from .inference import class_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from segbench.config.protocol import SurfaceDistances, TrainingProtocol, Window
    from segbench.engine.data.batches import Batch
    from segbench.engine.data.cache import PackedSplit
    from segbench.engine.data.dataset import CellData
    from segbench.engine.data.resident import ResidentSplit
    from segbench.engine.model.mapping import GeneratorMapping
    from segbench.plan.cell import Cell


USUAL_BOUNDARIES = Boundaries()


def evaluate(
    network: torch.nn.Module,
    resident: ResidentSplit,
    *,
    split: str,
    num_classes: int,
    ignore_index: int,
    batch_size: int,
    precision: str,
    memory_format: torch.memory_format,
    window: Window | None,
    boundaries: Boundaries = USUAL_BOUNDARIES,
    surface_distances: SurfaceDistances | None = None,
    clusters: tuple[str, ...] | None = None,
) -> Counts:
    """Return all counts of every image of a split.

    Labels are compared at their native resolution, so the network must give logits of the size of its images. No more
    pixels than those of one batch are held at a time. Leaves the network in evaluation mode. `clusters` are the names
    of the groups that the images belong to. Raises CellError if a score is NaN.
    """
    rules = Rules(num_classes, ignore_index, boundaries, surface_distances)
    certainty_of = certainty_of_logits if window is None else certainty_of_probabilities
    parts = []
    for batch, scores in _scored_batches(network, resident, split, batch_size, precision, memory_format, window):
        prediction = classify(scores)
        small = small_in(resident.packed, batch.indices, batch.labels.device)
        counts = label_counts(prediction, batch.labels, small, rules)
        calibration, likelihood = calibration_counts(scores, prediction, batch.labels, ignore_index, certainty_of)
        parts.append({**counts, "calibration": calibration, "likelihood": likelihood})
    return Counts(ids=tuple(resident.ids), split=split, sizes=resident.sizes, clusters=clusters, **joined(parts))


def confusion_counts(
    network: torch.nn.Module,
    resident: ResidentSplit,
    *,
    split: str,
    num_classes: int,
    ignore_index: int,
    batch_size: int,
    precision: str,
    memory_format: torch.memory_format,
    window: Window | None,
) -> NDArray[np.int64]:
    """Return the confusion counts alone of every image of a split, (n, K, K); otherwise as `evaluate`."""
    matrices = [
        confusion_matrices(classify(scores), batch.labels, num_classes, ignore_index)
        for batch, scores in _scored_batches(network, resident, split, batch_size, precision, memory_format, window)
    ]
    counts: NDArray[np.int64] = torch.cat(matrices).cpu().numpy()
    return counts


def _scored_batches(
    network: torch.nn.Module,
    resident: ResidentSplit,
    split: str,
    batch_size: int,
    precision: str,
    memory_format: torch.memory_format,
    window: Window | None,
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield the images of a split in order, a batch at a time, with what each class scores at each pixel.

    Raises CellError behind the last one if a score is NaN, of which no class would be the largest.
    """
    network.eval()
    nan = []
    for batch in evaluation_batches(resident, batch_size, memory_format):
        scores = class_scores(network, batch.images, precision=precision, window=window)
        nan.append(nan_images(scores))
        yield batch, scores
    check_scores(torch.cat(nan), resident.ids, split, network)


def refinement_on(split: ResidentSplit, refined: Refined, protocol: TrainingProtocol, ignore_index: int) -> Refinement:
    """Return the shares of labelled pixels that the refiner changed, and of these corrected and spoilt."""
    refined.eval()
    totals = torch.zeros(4, dtype=torch.int64)
    for batch in evaluation_batches(split, protocol.batch_size, memory_format(protocol.channels_last)):
        before, after = (
            classify(class_scores(network, batch.images, precision=protocol.precision, window=protocol.window))
            for network in (refined.base, refined)
        )
        totals += pixel_changes(before, after, batch.labels, ignore_index).cpu()
    return shares(totals)


def pixel_changes(before: torch.Tensor, after: torch.Tensor, truth: torch.Tensor, ignore_index: int) -> torch.Tensor:
    """Return the numbers of labelled, changed, corrected and spoilt pixels, int64 (4,), of label maps (N, H, W)."""
    valid = truth != ignore_index
    changed = valid & (before != after)
    return torch.stack(
        [pixels.sum() for pixels in (valid, changed, changed & (after == truth), changed & (before == truth))]
    )


def shares(totals: torch.Tensor) -> Refinement:
    """Return the shares that the numbers of `pixel_changes` make."""
    labelled, changed, corrected, spoilt = totals.tolist()
    return Refinement(
        changed=changed / max(labelled, 1),
        corrected=corrected / changed if changed else None,
        spoilt=spoilt / changed if changed else None,
    )


def as_segmenter(network: nn.Module, mapping: GeneratorMapping, base: nn.Module | None) -> nn.Module:
    """Return a generator as what takes images alone and returns logits; one that makes images is returned as it is.

    `base` is the frozen segmenter that a refiner stands behind.
    """
    match mapping.maps:
        case "image -> image":
            device = next(network.parameters()).device
            return Decoded(network, palette_colours(mapping.form.palette, device))
        case "image, labels -> labels":
            assert base is not None, "a refiner has a base"
            return Refined(base, network)
        case _:
            return network


def is_scored(mapping: GeneratorMapping) -> bool:
    """Tell whether a generator makes label maps, which confusion counts can score."""
    return mapping.maps in SEGMENTING_MAPS


def evaluate_on(split: str, segmenter: torch.nn.Module, cell: Cell, data: CellData) -> Counts:
    """Return all counts of a segmenter on a split, under the cell's protocol."""
    protocol, resident = cell.method.protocol, data.resident(split)
    return evaluate(
        segmenter,
        resident,
        split=split,
        num_classes=data.num_classes,
        ignore_index=data.dataset.ignore_index,
        batch_size=protocol.batch_size,
        precision=protocol.precision,
        memory_format=memory_format(protocol.channels_last),
        window=protocol.window,
        boundaries=protocol.boundaries,
        surface_distances=protocol.surface_distances,
        clusters=clusters_of(data.dataset, resident.ids, cell.dataset_name),
    )


def validation_miou(segmenter: torch.nn.Module, cell: Cell, data: CellData) -> float:
    """Return the mIoU of a segmenter on the validation split."""
    protocol = cell.method.protocol
    confusion = confusion_counts(
        segmenter,
        data.resident("val"),
        split="val",
        num_classes=data.num_classes,
        ignore_index=data.dataset.ignore_index,
        batch_size=protocol.batch_size,
        precision=protocol.precision,
        memory_format=memory_format(protocol.channels_last),
        window=protocol.window,
    )
    return miou(confusion.sum(axis=0)) or 0.0


@dataclass(frozen=True)
class Rules:
    """By what label maps are counted: how many classes, what is ignored, how wide boundaries are."""

    num_classes: int
    ignore_index: int
    boundaries: Boundaries = USUAL_BOUNDARIES
    surface_distances: SurfaceDistances | None = None


def label_counts(
    prediction: torch.Tensor, truth: torch.Tensor, small: torch.Tensor, rules: Rules
) -> dict[str, torch.Tensor]:
    """Return, under their names in `Counts`, what is counted of label maps (N, H, W) of one size.

    All are on one device, which is waited for only where surface distances are asked for. `small` are the pixels of
    small objects, bool (N, H, W).
    """
    depth, tolerance = (
        width_in_pixels(share, *truth.shape[1:])
        for share in (rules.boundaries.iou_width, rules.boundaries.f1_tolerance)
    )
    maps = coded(prediction, truth, rules.num_classes, rules.ignore_index)
    bands = bands_between_classes(maps, depth)
    counts = {
        "confusion": confusion_of(prediction, truth, rules),
        "void": (truth == rules.ignore_index).sum(dim=(1, 2)),
        "boundary": boundary_counts(maps, bands, depth, tolerance),
        "band": confusion_within(bands[: len(truth)], prediction, truth, rules),
        "small": confusion_within(small, prediction, truth, rules),
    }
    if rules.surface_distances is not None:
        counts["surface"] = surface_distances(maps, rules.surface_distances.tolerance)
    return counts


def confusion_of(prediction: torch.Tensor, truth: torch.Tensor, rules: Rules) -> torch.Tensor:
    """Return the confusion counts of each image, int64 (N, K, K)."""
    return confusion_matrices(prediction, truth, rules.num_classes, rules.ignore_index)


def confusion_within(part: torch.Tensor, prediction: torch.Tensor, truth: torch.Tensor, rules: Rules) -> torch.Tensor:
    """Return the confusion counts of some pixels of each image; `part` is bool (N, H, W)."""
    return confusion_of(prediction, truth.masked_fill(~part, rules.ignore_index), rules)


def small_in(packed: PackedSplit, indices: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return the pixels of small objects in images of one size, bool (N, H, W) on the device.

    They are found on the host, while a CUDA device computes.
    """
    maps = [small_objects(packed.labels(index), packed.num_classes, packed.ignore_index) for index in indices]
    small = torch.from_numpy(np.stack(maps))
    if device.type == "cuda":
        small = small.pin_memory()
    return small.to(device, non_blocking=True)


def joined(parts: Iterable[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    """Return the counts of all images as arrays on the host, in order, from those of batches."""
    first, *others = parts
    return {
        name: torch.cat([values, *(other[name] for other in others)]).cpu().numpy() for name, values in first.items()
    }
