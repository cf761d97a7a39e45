"""What a cell takes from cells that ran before: weights, predictions, generated samples, labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from segbench.errors import SpecError
from segbench.plan.subset import Subset

from .cell_files import MODEL, PROBABILITIES
from .checkpoint import load_tensors
from .data.probabilities import ProbabilityFields
from .data.subset import split_places
from .pairing import one_hot
from .recorded import load_network
from .seeds import random_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segbench.plan.cell import Cell

    from .cell_data import CellData
    from .checkpoint import Tensors
    from .data.batches import Batch
    from .data.probabilities import Fields
    from .data.resident import Range
    from .recorded import RecordedNetwork

    Synthesise = Callable[[Batch, int], tuple[torch.Tensor, torch.Tensor]]


class Upstream(NamedTuple):
    """What upstream cells left for one cell; None where its recipe asks for nothing of the kind.

    `start` are weights to start from, `base` the frozen segmenter to be refined, `fields` its out-of-fold predictions
    for the training images, `synthesise` makes images and labels for a batch, `labeller` is a segmenter that labels.
    """

    start: Tensors | None = None
    base: nn.Module | None = None
    fields: Fields | None = None
    synthesise: Synthesise | None = None
    labeller: nn.Module | None = None


def load_upstream(cell: Cell, folders: Mapping[str, str], data: CellData, device: torch.device) -> Upstream:
    """Return what the upstream cells in `folders`, by reason, left; RecordError if something is missing there."""
    fold_folders = [Path(folder) for reason, folder in folders.items() if reason.startswith("refines fold")]
    start, synthetic = folders.get("start_from"), folders.get("trains_on")
    return Upstream(
        start=load_tensors(Path(start) / MODEL)[0] if start else None,
        base=load_segmenter(folders["refines"], device) if "refines" in folders else None,
        fields=_fields(fold_folders, cell, data, device) if fold_folders else None,
        synthesise=synthesiser(_recorded(synthetic, device), cell.seed) if synthetic else None,
        labeller=load_segmenter(folders["pseudo_labels_from"], device) if "pseudo_labels_from" in folders else None,
    )


def synthesiser(recorded: RecordedNetwork, seed: int) -> Synthesise:
    """Return what makes as many labelled images as a batch has, with the generator of a finished cell.

    A generator from labels to images paints the batch's own labels; one that makes both decides on labels itself.
    """
    generator, mapping, channels = recorded.network, recorded.mapping, recorded.dataset.channels

    def synthesise(batch: Batch, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        noise = torch.randn(
            (len(batch.images), mapping.noise_channels), generator=random_generator(seed, "synthetic", step)
        ).to(batch.images.device)
        with torch.no_grad():
            if mapping.maps == "labels -> image":
                return generator(one_hot(batch.labels, mapping.form), noise), batch.labels
            made = generator(noise)
        if made.shape[-2:] != batch.images.shape[-2:]:
            raise SpecError(
                f"{recorded.key} makes samples of {list(made.shape[-2:])} (height, width), but the crop of the "
                f"method that trains on them is {list(batch.images.shape[-2:])}; give both the same protocol.crop"
            )
        return made[:, :channels], made[:, channels:].argmax(dim=1)

    return synthesise


def _recorded(folder: str, device: torch.device) -> RecordedNetwork:
    return load_network(Path(f"{folder}.json"), device)


def load_segmenter(folder: str, device: torch.device) -> nn.Module:
    """Return the frozen segmenter of the finished cell in a folder, in evaluation mode."""
    return _recorded(folder, device).network.requires_grad_(False)


def _fields(folders: list[Path], cell: Cell, data: CellData, device: torch.device) -> ProbabilityFields:
    packed = data.packed("train")
    labelled = split_places(packed, Subset.parse(cell.subset)).labelled
    return ProbabilityFields.open([folder / PROBABILITIES for folder in folders], packed.ids, labelled, device)


class Undecided(nn.Module):
    """Stands in, where a recipe is only tried, for a segmenter that is not trained yet: all classes alike."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return zero logits (N, K, H, W)."""
        number, _, height, width = images.shape
        return images.new_zeros(number, self.num_classes, height, width)


class UniformFields:
    """Stands in for a base's predictions that are not made yet: all classes alike."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes, self.device = num_classes, device

    def windows(self, indices: Sequence[int], rows: Sequence[Range], columns: Sequence[Range]) -> torch.Tensor:
        """Return uniform probabilities (N, K, h, w), h and w those of the largest window."""
        height = max(stop - start for start, stop in rows)
        width = max(stop - start for start, stop in columns)
        shape = (len(indices), self.num_classes, height, width)
        return torch.full(shape, 1 / self.num_classes, device=self.device)


def stand_ins(cell: Cell, data: CellData, device: torch.device) -> Upstream:
    """Return what has the form of upstream results before there are any; fields are uniform, samples are real ones."""
    undecided = Undecided(data.num_classes)
    method = cell.method
    return Upstream(
        base=undecided if method.refines else None,
        fields=UniformFields(data.num_classes, device) if method.refines else None,
        synthesise=(lambda batch, step: (batch.images, batch.labels)) if method.trains_on else None,
        labeller=undecided if method.unlabelled and method.unlabelled.pseudo_labels_from else None,
    )
