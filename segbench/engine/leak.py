"""The encoding-leak probe: can a recipe's critic tell the truth from predictions that are right everywhere?

Where argmax and truth agree at every pixel, nothing but the encoding tells real from fake: a held-out accuracy of 0.5
is clean, and at 1.0 the critic wins on sharpness alone and teaches nothing else. Where the two fields are equal bit by
bit (`difference` 0) no critic can be off 0.5, but for what its dropout draws.

The critic is built and trained as in a cell: discriminator, loss, penalty, clip, condition, optimiser and batches of
the recipe, at a constant learning rate. It is asked about held-out images in training mode, as it is in the game, since
normalisation over batches would otherwise mix what it knows of real and fake. A placebo is left out.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from segbench.errors import CellError, DataError, RecordError, SpecError
from segbench.plan.subset import Subset
from segbench.registry import load_registry
from segbench.spec.maps import ENCODED_MAPS, listed

from .cell_data import common_size, open_data
from .components import mapping_of
from .critic_scores import masked_mean
from .data.subset import split_places
from .health import observe_scores
from .memory import memory_errors_named
from .precision import apply_numeric_settings
from .right_predictions import made_predictions, network_predictions, reachable_levels
from .seeds import derive
from .setup import build_adversary, crops
from .train import update_critic
from .training_state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segbench.contracts import Dataset
    from segbench.plan.cell import Cell
    from segbench.spec.recipe import Method

    from .adversary import Adversary
    from .cell_data import CellData
    from .data.batches import TrainingBatches
    from .data.subset import Places
    from .pairing import Pair
    from .recorded import RecordedNetwork
    from .right_predictions import Predict

# A critic shows its encoding's leak in label fields, or in colours that stand for them.
PROBED_MAPS = (*ENCODED_MAPS, "image -> image")

Verdict = Literal["clean", "leaks", "strong leak", "undefined"]

# What counts as chance: below this an accuracy matters to no training.
CHANCE = 0.51

# How many standard errors beyond that an accuracy must be; crops of few images are not quite independent.
ERRORS = 3

STRONG = 0.9

# Held-out batches that accuracies are averaged over.
BATCHES = 20

# Without a val split, one training image in so many is held out.
HELD_OUT = 4

MADE = "made"


@dataclass(frozen=True)
class Finding:
    """What a critic made of one kind of right predictions of held-out images.

    `predictions` is "made" or the key of the network's cell; `confidence` their mean top probability (None for a
    network's colours); `difference` the mean absolute difference of real and fake fields; `accuracy` the mean of those
    on reals and on fakes with its standard error over batches, None where the loss never scores real against fake.
    """

    predictions: str
    confidence: float | None
    difference: float
    accuracy: float | None = None
    standard_error: float | None = None

    @property
    def verdict(self) -> Verdict:
        """What the accuracy says: whether it is beyond CHANCE by ERRORS standard errors, and beyond STRONG.

        Equal fields are clean even if there is no accuracy.
        """
        if self.accuracy is None or self.standard_error is None:
            return "clean" if self.difference == 0 else "undefined"
        if self.accuracy - ERRORS * self.standard_error <= CHANCE:
            return "clean"
        return "strong leak" if self.accuracy > STRONG else "leaks"


def check_can_be_probed(method: Method) -> None:
    """Raise SpecError if a method has no critic, or one that sees no labels made."""
    if method.adversarial is None:
        raise SpecError(
            f"method {method.name!r} has no adversarial loss, so it has no critic to probe; name a method with "
            "discriminator and adversarial"
        )
    if method.maps not in PROBED_MAPS:
        raise SpecError(
            f"method {method.name!r} maps {method.maps!r}: its critic compares images with images, and no labels are "
            f"encoded that could leak; the probe is for what maps {listed(PROBED_MAPS)}"
        )


def probe_leak(
    cell: Cell, device: torch.device, steps: int, trained: RecordedNetwork | None = None
) -> Iterator[Finding]:
    """Yield what freshly built critics find, each after `steps` steps on one kind of right predictions.

    These are made ones of every level of confidence that is reachable, then those of a trained network. Raises
    SpecError as `check_can_be_probed` does, RecordError for a network that does not fit dataset or critic, CellError
    if scores are no longer finite.
    """
    check_can_be_probed(cell.method)
    cell, registry = without_placebo(cell), load_registry()
    apply_numeric_settings(cell.method.protocol)
    with memory_errors_named(device):
        data = open_data(cell, registry, device)
        mapping = mapping_of(cell, data)
        sources = [(MADE, made_predictions(mapping, level, cell.seed)) for level in reachable_levels(data.num_classes)]
        if trained is not None:
            check_same_classes(trained, data.dataset)
            sources.append((trained.key, network_predictions(trained, mapping)))
        places, held_out = images_apart(cell, data)
        for name, predict in sources:
            adversary = build_adversary(cell, registry, data, device, mapping, places, None)
            if adversary.scores_count:
                train_critic(adversary, predict, cell, steps)
            yield finding(name, adversary, predict, held_out, cell.seed, steps)


def check_same_classes(trained: RecordedNetwork, dataset: Dataset) -> None:
    """Raise RecordError if a network was trained on a dataset of other classes or channels."""
    its, here = ((tuple(one.classes), one.channels) for one in (trained.dataset, dataset))
    if its != here:
        raise RecordError(
            f"{trained.key}: its network was trained for {its[1]} channels and the classes {', '.join(its[0])}; the "
            f"dataset has {here[1]} channels and the classes {', '.join(here[0])}"
        )


def without_placebo(cell: Cell) -> Cell:
    """Return the cell with a critic that is trained as if it were no placebo."""
    method, adversarial = cell.method, cell.method.adversarial
    assert adversarial is not None
    earnest = adversarial.model_copy(update={"placebo": None})
    return cell.model_copy(update={"method": method.model_copy(update={"adversarial": earnest})})


def images_apart(cell: Cell, data: CellData) -> tuple[Places, TrainingBatches]:
    """Return the places in train that the critic learns from, and crops of other images that it is asked about.

    Those are of the val split, or where it gives no crops of that size of a part of train. Raises DataError if train
    has too few images to spare any.
    """
    places = split_places(data.packed("train"), Subset.parse(cell.subset))
    if "val" in data.dataset.splits and (cell.method.protocol.crop or _have_one_size(data)):
        with suppress(DataError):
            return places, crops(cell, data, "val", stream="held out")
    asked_about = places.labelled[::HELD_OUT]
    learnt_from = tuple(sorted(set(places.labelled).difference(asked_about)))
    if not learnt_from:
        raise DataError(
            f"the probe asks about images that its critic has not seen, but the dataset has no val split to take them "
            f"from and only {len(places.labelled)} labelled training image; it needs at least 2"
        )
    return places._replace(labelled=learnt_from), crops(cell, data, "train", places=asked_about, stream="held out")


def train_critic(adversary: Adversary, predict: Predict, cell: Cell, steps: int) -> None:
    """Train a critic to tell the truth from predictions."""
    assert adversary.batches is not None
    # No generator learns here; the critic stands in its place.
    state = TrainingState.start(adversary.critic, adversary, cell.method.protocol, adversary.device)
    for step in range(steps):
        batch = adversary.batches.at(step)
        torch.manual_seed(derive(cell.seed, "probe", step))
        update_critic(adversary, state, adversary.pair(batch, predict(batch, step).output), batch.labels)


def finding(
    name: str, adversary: Adversary, predict: Predict, held_out: TrainingBatches, seed: int, steps: int
) -> Finding:
    """Return what a critic that has learnt for `steps` steps finds on batches that it has not seen."""
    confidences, differences, accuracies = [], [], []
    for number in range(BATCHES):
        batch, step = held_out.at(number), steps + number
        torch.manual_seed(derive(seed, "probe", step))
        made = predict(batch, step)
        pair = adversary.pair(batch, made.output)
        differences.append(masked_mean((pair.real - pair.fake).abs(), pair.mask))
        if made.top_probability is not None:
            confidences.append(masked_mean(made.top_probability, batch.labels[:, None] != held_out.ignore_index))
        if adversary.scores_count:
            accuracies.append(accuracy(adversary, pair))
    found = Finding(name, _mean(confidences), float(torch.stack(differences).mean()))
    return _with_accuracy(found, accuracies, steps) if accuracies else found


def accuracy(adversary: Adversary, pair: Pair) -> torch.Tensor:
    """Return the mean of the critic's accuracies on real and fake (`health.observe_scores`); NaN if a score is."""
    with torch.no_grad():
        real, fake = (adversary.read(pair.condition, shown) for shown in (pair.real, pair.fake))
    seen = observe_scores(real.scores, fake.scores, adversary.boundary, mask=pair.mask)
    both = (seen["real_accuracy"] + seen["fake_accuracy"]) / 2
    return both.where((seen["real"] + seen["fake"]).isfinite(), torch.nan)


def _with_accuracy(found: Finding, accuracies: list[torch.Tensor], steps: int) -> Finding:
    mean = float(torch.stack(accuracies).mean())
    if not math.isfinite(mean):
        raise CellError(
            f"the critic's scores are not finite after {steps} steps; lower adversarial.optimizer.lr, or bound the "
            "critic by clip or a penalty"
        )
    error = float(torch.stack(accuracies).std()) / math.sqrt(len(accuracies))
    return replace(found, accuracy=mean, standard_error=error)


def _have_one_size(data: CellData) -> bool:
    return common_size(data.packed("train")) == common_size(data.packed("val"))


def _mean(values: list[torch.Tensor]) -> float | None:
    return float(torch.stack(values).mean()) if values else None
