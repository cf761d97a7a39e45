"""Load what a cell needs from cells that ran before it: weights, predictions, generated samples, labels and more.

A cell that was trained without one fold of the training images writes predictions for the images of that fold.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from segbench.engine.data.batches import Batch, normalise
from segbench.engine.data.probabilities import ProbabilityFields, write_probabilities
from segbench.engine.data.subset import split_places
from segbench.engine.evaluation.inference import class_scores
from segbench.engine.job import ADVERSARIAL_WEIGHTS, MODEL, PROBABILITIES
from segbench.engine.model.checkpoint import load_kept
from segbench.engine.model.mapping import one_hot
from segbench.engine.numerics import memory_format, random_generator, training_seed
from segbench.engine.recorded import load_network
from segbench.errors import RecordError, SpecError
from segbench.plan.cell import Subset
from segbench.store.folder import how_to_redo, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from segbench.engine.data.batches import TrainingBatches
    from segbench.engine.data.dataset import CellData
    from segbench.engine.data.probabilities import Fields
    from segbench.engine.data.resident import Range
    from segbench.engine.evaluation.inference import Network
    from segbench.engine.model.checkpoint import Tensors
    from segbench.engine.recorded import RecordedNetwork
    from segbench.plan.cell import Cell

    Synthesise = Callable[[Batch, int], tuple[Tensor, Tensor]]


class Upstream(NamedTuple):
    """What upstream cells left for one cell; None where its recipe does not ask for it.

    - start: weights to start from
    - base: the frozen segmenter to be refined
    - fields: its out-of-fold predictions for the training images
    - synthesise: a function of batch and step that generates images and labels
    - labeller: a frozen segmenter that labels images
    - weights: of the adversarial gradient at each step, (steps,)
    """

    start: Tensors | None = None
    base: nn.Module | None = None
    fields: Fields | None = None
    synthesise: Synthesise | None = None
    labeller: nn.Module | None = None
    weights: Tensor | None = None


def load_upstream(cell: Cell, folders: Mapping[str, str], data: CellData, device: torch.device) -> Upstream:
    """Return what the upstream cells in `folders`, by reason, left; RecordError if something is missing there."""
    fold_folders = [Path(folder) for reason, folder in folders.items() if reason.startswith("refines fold")]
    start, synthetic = folders.get("start_from"), folders.get("trains_on")
    return Upstream(
        start=load_kept(Path(start) / MODEL) if start else None,
        base=load_segmenter(folders["refines"], device) if "refines" in folders else None,
        fields=_open_fields(fold_folders, cell, data, device) if fold_folders else None,
        synthesise=make_synthesiser(_load_recorded(synthetic, device), training_seed(cell)) if synthetic else None,
        labeller=load_segmenter(folders["pseudo_labels_from"], device) if "pseudo_labels_from" in folders else None,
        weights=_load_weights(folders["weight"], device) if "weight" in folders else None,
    )


def _load_weights(folder: str, device: torch.device) -> Tensor:
    """Return the weights of the adversarial gradient that a finished cell had; RecordError if it had no step."""
    path = Path(folder) / ADVERSARIAL_WEIGHTS
    weights = load_kept(path).get("weights", torch.empty(0))
    if weights.ndim != 1 or not len(weights):
        raise RecordError(f"{path} holds no weights of steps; {how_to_redo(path.parent)}")
    return weights.to(device)


def load_segmenter(folder: str, device: torch.device) -> nn.Module:
    """Return the frozen segmenter of the finished cell in a folder, in evaluation mode."""
    return _load_recorded(folder, device).network.requires_grad_(False)


def _load_recorded(folder: str, device: torch.device) -> RecordedNetwork:
    return load_network(record_of(Path(folder)), device)


def _open_fields(folders: list[Path], cell: Cell, data: CellData, device: torch.device) -> ProbabilityFields:
    packed = data.packed("train")
    labelled = split_places(packed, Subset.parse(cell.subset)).labelled
    return ProbabilityFields.open([folder / PROBABILITIES for folder in folders], packed.ids, labelled, device)


class UniformSegmenter(nn.Module):
    """Takes the place of a segmenter that is not trained yet: all classes are equally likely."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> Tensor:
        """Return zero logits (N, K, H, W)."""
        number, _, height, width = images.shape
        return images.new_zeros(number, self.num_classes, height, width)


class UniformFields:
    """Takes the place of a base's predictions that are not made yet: all classes are equally likely."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes, self.device = num_classes, device

    def windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> Tensor:
        """Return uniform probabilities (N, K, h, w), h and w those of the largest window."""
        height = max(stop - start for start, stop in rows)
        width = max(stop - start for start, stop in columns)
        shape = (len(indices), self.num_classes, height, width)
        return torch.full(shape, 1 / self.num_classes, device=self.device)


def make_stand_ins(cell: Cell, data: CellData, device: torch.device) -> Upstream:
    """Return placeholders for upstream results that are not there yet: uniform predictions, real samples, weight 1."""
    segmenter = UniformSegmenter(data.num_classes)
    method = cell.method
    return Upstream(
        base=segmenter if method.refines else None,
        fields=UniformFields(data.num_classes, device) if method.refines else None,
        synthesise=(lambda batch, step: (batch.images, batch.labels)) if method.trains_on else None,
        labeller=segmenter if method.unlabelled and method.unlabelled.pseudo_labels_from else None,
        weights=torch.ones(1, device=device) if "weight" in method.upstream else None,
    )


class PseudoLabelledBatches:
    """Batches of unlabelled images with the labels that a finished segmenter predicts.

    Pixels outside the image, and those where its highest class probability is below `threshold`, are `ignore_index`.
    The network is in evaluation mode; `batches` are without true labels (`with_labels=False`), void pixels included.
    """

    def __init__(
        self, batches: TrainingBatches, network: Network, threshold: float, ignore_index: int, precision: str
    ) -> None:
        assert not batches.with_labels, "void pixels must not be known of unlabelled images"
        self.batches = batches
        self.network = network
        self.threshold = threshold
        self.ignore_index = ignore_index
        self.precision = precision

    @property
    def images_per_epoch(self) -> int:
        """The number of images of the whole split."""
        return self.batches.images_per_epoch

    def at(self, step: int) -> Batch:
        """Return the batch of one optimiser step, counted from 0."""
        batch = self.batches.at(step)
        return batch._replace(labels=self._labels(batch))

    def _labels(self, batch: Batch) -> Tensor:
        """Return the network's labels of a batch, (N, h, w) int64."""
        scores = class_scores(self.network, batch.images, precision=self.precision, window=None)
        confidence, labels = scores.softmax(dim=1).max(dim=1)
        known = (confidence >= self.threshold) & (batch.labels != self.batches.ignore_index)
        # The result of masked_fill is no inference tensor any more, so a loss may keep it for its backward pass.
        return labels.masked_fill(~known, self.ignore_index)


def make_synthesiser(recorded: RecordedNetwork, seed: int) -> Synthesise:
    """Return a function that generates as many labelled images as a batch has, with the generator of a finished cell.

    A generator from labels to images takes the batch's own labels; one of images and labels makes its own.
    Raises SpecError if the images have another size than those of the batch.
    """
    generator, mapping, channels = recorded.network, recorded.mapping, recorded.dataset.channels

    def synthesise(batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        shape = (len(batch.images), mapping.latent_channels)
        noise = torch.randn(shape, generator=random_generator(seed, "synthetic", step))
        noise = noise.to(batch.images.device, non_blocking=True)
        with torch.no_grad():
            if mapping.maps == "labels -> image":
                return generator(one_hot(batch.labels, mapping.form), noise), batch.labels
            output = generator(noise)
        if output.shape[-2:] != batch.images.shape[-2:]:
            raise SpecError(
                f"{recorded.key} generates samples of {list(output.shape[-2:])} (height, width), but the crop of the "
                f"method that trains on them is {list(batch.images.shape[-2:])}; give both the same protocol.crop"
            )
        return output[:, :channels], output[:, channels:].argmax(dim=1)

    return synthesise


class SyntheticBatches:
    """Batches whose last samples are generated; over all steps these are exactly `share` of all samples.

    `synthesise` takes real samples from a stream of their own, `originals`, and the step, and returns as many images
    and labels. The first samples of each batch are those of `batches`, unchanged.
    """

    def __init__(
        self, batches: TrainingBatches, originals: TrainingBatches, share: float, synthesise: Synthesise
    ) -> None:
        assert batches.fields is None, "a generated sample has no stored probabilities"
        self.batches = batches
        self.originals = originals
        # As a decimal fraction: in binary 90 * 0.7 is below 63.
        self.per_batch = batches.batch_size * Fraction(str(share))
        self.synthesise = synthesise

    @property
    def images_per_epoch(self) -> int:
        """The number of images of the real split."""
        return self.batches.images_per_epoch

    def at(self, step: int) -> Batch:
        """Return the batch of one optimiser step, counted from 0; a generated sample has the index of its original."""
        batch = self.batches.at(step)
        positions = range(int(step * self.per_batch), int((step + 1) * self.per_batch))
        if not positions:
            return batch
        originals = self.originals.draw(positions, step)
        images, labels = self.synthesise(originals, step)
        kept = len(batch.indices) - len(positions)
        return Batch(
            torch.cat([batch.images[:kept], images]).contiguous(memory_format=self.batches.memory_format),
            torch.cat([batch.labels[:kept], labels]),
            batch.indices[:kept] + originals.indices,
        )


def write_fold_predictions(path: Path, segmenter: nn.Module, cell: Cell, data: CellData) -> None:
    """Write the class probabilities of each training image of the cell's fold."""
    segmenter.eval()
    packed = data.resized("train")
    places = split_places(data.packed("train"), Subset.parse(cell.subset)).held_out
    ids, sizes = [packed.ids[place] for place in places], [packed.index.sizes[place] for place in places]
    write_probabilities(path, ids, sizes, _predict_fields(segmenter, places, cell, data))


def _predict_fields(segmenter: nn.Module, places: tuple[int, ...], cell: Cell, data: CellData) -> Iterator[Tensor]:
    """Yield probabilities (K, H, W) image by image."""
    protocol, split = cell.method.protocol, data.resident("train")
    for place in places:
        image = normalise(split.image(place)[None], split.white, memory_format(protocol.channels_last))
        scores = class_scores(segmenter, image, precision=protocol.precision, window=protocol.window)
        # A window's scores are probabilities already.
        yield (scores if protocol.window else torch.softmax(scores, dim=1))[0]
