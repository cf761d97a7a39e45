"""The encoding-leak probe: can a recipe's discriminator tell the truth from predictions that are right everywhere?

Where argmax and truth agree at every pixel, nothing but the encoding tells real from fake: a held-out accuracy of 0.5
is clean, and at 1.0 the discriminator wins on sharpness alone and teaches nothing else. Where the two fields are equal
bit by bit (`difference` 0) no discriminator can be off 0.5, but for what its dropout draws.

The discriminator is built and trained as in a cell: discriminator, loss, penalty, clip, condition, optimiser and
batches of the recipe, at a constant learning rate. It is asked about held-out images in training mode, as it is in the
game, since normalisation over batches would otherwise mix what it knows of real and fake. A placebo is left out.

Predictions that are right everywhere, whatever their confidence: what a discriminator can only tell by its encoding.

Made ones are smooth random logits, the largest of which belongs to the true class, at a chosen mean top probability.
Those of a trained network are its own; where they are wrong the values of the top class and of the true class change
places, so that the confidence at every pixel stays what it was.

Generators of palette colours are decoded by the nearest colour. There made predictions are the mean palette colour
under the probabilities; a wrong colour of a network keeps its offset, from the true palette colour; and a colour that
is then nearest to another class is moved towards its own until it no longer is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from segbench.config.recipe import CLASSIFYING_MAPS, ENCODED_MAPS, Encoding, quote_names
from segbench.engine.adversarial.adversary import masked_mean
from segbench.engine.adversarial.monitor import observe_scores
from segbench.engine.adversarial.pairing import encode_real
from segbench.engine.data.batches import Batch
from segbench.engine.data.dataset import common_size, open_data
from segbench.engine.data.subset import split_places
from segbench.engine.model.build import mapping_of
from segbench.engine.model.mapping import one_hot, palette_colours, palette_image
from segbench.engine.model.network import Decoded
from segbench.engine.training.loop import update_discriminator
from segbench.engine.training.setup import build_adversary, crops
from segbench.engine.training.state import TrainingState
from segbench.errors import CellError, DataError, RecordError, SpecError
from segbench.plan.cell import Subset
from segbench.registry import load_registry

from .numerics import apply_numeric_settings, autocast, derive, name_memory_errors, random_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from segbench.config.recipe import Method
    from segbench.contract import Dataset
    from segbench.engine.adversarial.adversary import Adversary
    from segbench.engine.adversarial.pairing import Pair
    from segbench.engine.data.batches import TrainingBatches
    from segbench.engine.data.dataset import CellData
    from segbench.engine.data.subset import Places
    from segbench.engine.model.mapping import FieldForm, GeneratorMapping
    from segbench.plan.cell import Cell

    from .recorded import RecordedNetwork


# A discriminator shows its encoding's leak in label fields, or in colours that stand for them.
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
    """What a discriminator made of one kind of right predictions of held-out images.

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
    """Raise SpecError if a method has no discriminator, or one that sees no labels made."""
    if method.adversarial is None:
        raise SpecError(
            f"method {method.name!r} has no adversarial loss, so it has no discriminator to probe; name a method with "
            "discriminator and adversarial"
        )
    if method.maps not in PROBED_MAPS:
        raise SpecError(
            f"method {method.name!r} maps {method.maps!r}: its discriminator compares images with images, and no "
            f"labels are encoded that could leak; the probe is for generators that map {quote_names(PROBED_MAPS)}"
        )


def probe_leak(
    cell: Cell, device: torch.device, steps: int, trained: RecordedNetwork | None = None
) -> Iterator[Finding]:
    """Yield what freshly built discriminators find, each after `steps` steps on one kind of right predictions.

    These are made ones of every level of confidence that is reachable, then those of a trained network. Raises
    SpecError as `check_can_be_probed` does, RecordError for a network that does not fit dataset or discriminator,
    CellError if scores are no longer finite.
    """
    check_can_be_probed(cell.method)
    cell, registry = without_placebo(cell), load_registry()
    apply_numeric_settings(cell.method.protocol)
    with name_memory_errors(device):
        data = open_data(cell, registry, device)
        mapping = mapping_of(cell, data)
        sources = [(MADE, made_predictions(mapping, level, cell.seed)) for level in reachable_levels(data.num_classes)]
        if trained is not None:
            check_same_classes(trained, data.dataset)
            sources.append((trained.key, network_predictions(trained, mapping)))
        places, held_out = images_apart(cell, data)
        for name, predict in sources:
            adversary = build_adversary(cell, registry, data, device, mapping, places, None)
            if adversary.compares_scores:
                train_discriminator(adversary, predict, cell, steps)
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
    """Return the cell with a discriminator that is trained as if it were no placebo."""
    method, adversarial = cell.method, cell.method.adversarial
    assert adversarial is not None
    earnest = adversarial.model_copy(update={"placebo": None})
    return cell.model_copy(update={"method": method.model_copy(update={"adversarial": earnest})})


def images_apart(cell: Cell, data: CellData) -> tuple[Places, TrainingBatches]:
    """Return the places in train that the discriminator learns from, and crops of other images that it is asked about.

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
            f"the probe asks about images that its discriminator has not seen, but the dataset has no val split to "
            f"take them from and only {len(places.labelled)} labelled training image; it needs at least 2"
        )
    return places._replace(labelled=learnt_from), crops(cell, data, "train", places=asked_about, stream="held out")


def train_discriminator(adversary: Adversary, predict: Predict, cell: Cell, steps: int) -> None:
    """Train a discriminator to tell the truth from predictions."""
    assert adversary.batches is not None
    # No generator learns here; the discriminator stands in its place.
    state = TrainingState.start(adversary.discriminator, adversary, cell.method.protocol, adversary.device)
    for step in range(steps):
        batch = adversary.batches.at(step)
        torch.manual_seed(derive(cell.seed, "probe", step))
        update_discriminator(adversary, state, adversary.pair(batch, predict(batch, step).output), batch.labels)


def finding(
    name: str, adversary: Adversary, predict: Predict, held_out: TrainingBatches, seed: int, steps: int
) -> Finding:
    """Return what a discriminator that has learnt for `steps` steps finds on batches that it has not seen."""
    confidences, differences, accuracies = [], [], []
    for number in range(BATCHES):
        batch, step = held_out.at(number), steps + number
        torch.manual_seed(derive(seed, "probe", step))
        made = predict(batch, step)
        pair = adversary.pair(batch, made.output)
        differences.append(masked_mean((pair.real - pair.fake).abs(), pair.mask))
        if made.top_probability is not None:
            confidences.append(masked_mean(made.top_probability, batch.labels[:, None] != held_out.ignore_index))
        if adversary.compares_scores:
            accuracies.append(accuracy(adversary, pair))
    found = Finding(name, _mean(confidences), float(torch.stack(differences).mean()))
    return _with_accuracy(found, accuracies, steps) if accuracies else found


def accuracy(adversary: Adversary, pair: Pair) -> torch.Tensor:
    """Return the mean of the discriminator's accuracies on real and fake (`observe_scores`); NaN if a score is."""
    with torch.no_grad():
        real, fake = (adversary.discriminate(pair.condition, shown) for shown in (pair.real, pair.fake))
    seen = observe_scores(real.scores, fake.scores, adversary.boundary, mask=pair.mask)
    both = (seen["real_accuracy"] + seen["fake_accuracy"]) / 2
    return both.where((seen["real"] + seen["fake"]).isfinite(), torch.nan)


def _with_accuracy(found: Finding, accuracies: list[torch.Tensor], steps: int) -> Finding:
    mean = float(torch.stack(accuracies).mean())
    if not math.isfinite(mean):
        raise CellError(
            f"the discriminator's scores are not finite after {steps} steps; lower adversarial.optimizer.lr, or bound "
            "the discriminator by clip or a penalty"
        )
    error = float(torch.stack(accuracies).std()) / math.sqrt(len(accuracies))
    return replace(found, accuracy=mean, standard_error=error)


def _have_one_size(data: CellData) -> bool:
    return common_size(data.packed("train")) == common_size(data.packed("val"))


def _mean(values: list[torch.Tensor]) -> float | None:
    return float(torch.stack(values).mean()) if values else None


# Mean top probabilities from undecided to as good as one-hot; below 1 / K there is none.
LEVELS = (0.41, 0.6, 0.83, 0.99, 0.9999)


# Pixels between independent random logits; between them they are interpolated.
CELL = 8


# How far the true class leads at least, before sharpening, the standard deviation of logits being 1.
MARGIN = 0.2


# What is left of the offset from the true palette colour where it leads to another class.
SHARES = (0.5, 0.25, 0.125, 0.0)


BISECTIONS = 40


class RightPredictions(NamedTuple):
    """An output as `pairing` takes it, and the top probability of its pixels (N, H, W), None where there is none."""

    output: Tensor
    top_probability: Tensor | None


Predict = Callable[[Batch, int], RightPredictions]


"""What predicts the labels of a batch, at a step that all randomness is drawn from."""


def reachable_levels(num_classes: int) -> tuple[float, ...]:
    """Return the levels of mean top probability that K classes can have.

    >>> reachable_levels(2)
    (0.6, 0.83, 0.99, 0.9999)
    """
    return tuple(level for level in LEVELS if level > 1 / num_classes)


def made_predictions(mapping: GeneratorMapping, level: float, seed: int) -> Predict:
    """Return what makes predictions with a mean top probability of about `level`."""
    factor, form = sharpness(level, mapping.form.num_classes), mapping.form

    def predict(batch: Batch, step: int) -> RightPredictions:
        shape = (len(batch.labels), form.num_classes, *batch.labels.shape[-2:])
        noise = smooth_noise(shape, random_generator(seed, "made predictions", step)).to(batch.labels.device)
        logits = factor * (right_logits(noise, batch, form) + MARGIN * one_hot(batch.labels, form))
        probabilities = logits.softmax(dim=1)
        match mapping.maps:
            case "image -> image":
                output = right_colours(mixed_colours(probabilities, form), batch, form)
            case "noise -> image, labels":
                output = torch.cat([batch.images, logits], dim=1)
            case _:
                output = logits
        return RightPredictions(output, probabilities.amax(dim=1))

    return predict


def network_predictions(recorded: RecordedNetwork, mapping: GeneratorMapping) -> Predict:
    """Return what corrects a trained network's predictions; RecordError if the discriminator does not see such."""
    trained, form = recorded.mapping.maps, mapping.form
    if trained not in (CLASSIFYING_MAPS if mapping.maps in CLASSIFYING_MAPS else ("image -> image",)):
        raise RecordError(
            f"{recorded.key}: its network maps {trained!r}; the discriminator of what maps {mapping.maps!r} is not "
            "shown such predictions of images"
        )
    in_colours = isinstance(recorded.network, Decoded)
    network = recorded.network.generator if isinstance(recorded.network, Decoded) else recorded.network

    def predict(batch: Batch, step: int) -> RightPredictions:
        with torch.no_grad(), autocast(batch.images.device, recorded.protocol.precision):
            output = network(batch.images).float()
        if in_colours:
            return RightPredictions(right_colours(with_true_colours(output, batch, form), batch, form), None)
        return RightPredictions(right_logits(output, batch, form), output.softmax(dim=1).amax(dim=1))

    return predict


def sharpness(level: float, num_classes: int) -> float:
    """Return the factor that gives made logits of K classes a mean top probability of `level`, within 1/K and 1."""
    logits = smooth_noise((8, num_classes, 64, 64), random_generator(0, "sharpness"))
    logits = logits.scatter_add(1, logits.argmax(dim=1, keepdim=True), torch.full_like(logits[:, :1], MARGIN))
    low, high = 1e-3, 1e4
    for _ in range(BISECTIONS):
        middle = (low * high) ** 0.5
        too_sharp = (middle * logits).softmax(dim=1).amax(dim=1).mean() > level
        low, high = (low, middle) if too_sharp else (middle, high)
    return low


def smooth_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return normal noise (N, K, H, W) that is interpolated between grid points CELL pixels apart."""
    number, channels, *size = shape
    points = [-(-length // CELL) + 1 for length in size]
    noise = torch.randn((number, channels, *points), generator=generator)
    return functional.interpolate(noise, size=tuple(size), mode="bilinear", align_corners=True)


def right_logits(logits: Tensor, batch: Batch, form: FieldForm) -> Tensor:
    """Return logits (N, K, H, W) with those of the top class and of the true class exchanged."""
    return encode_real(Encoding(use="confidence_matched"), one_hot(batch.labels, form), logits, batch.images)


def mixed_colours(probabilities: Tensor, form: FieldForm) -> Tensor:
    """Return the mean palette colours (N, 3, H, W) in [-1, 1] under probabilities (N, K, H, W)."""
    return torch.einsum("nkhw,kc->nchw", probabilities, palette_colours(form.palette, probabilities.device))


def with_true_colours(colours: Tensor, batch: Batch, form: FieldForm) -> Tensor:
    """Return colours (N, 3, H, W) with the nearest palette colour replaced by the true one, their offset kept."""
    palette = palette_colours(form.palette, colours.device)
    nearest = palette[nearest_class(colours, palette)].movedim(-1, 1)
    truth = palette_image(batch.labels, form).nan_to_num(0.0)
    return torch.where(nearest == truth, colours, truth + (colours - nearest)).clamp(-1, 1)


def right_colours(colours: Tensor, batch: Batch, form: FieldForm) -> Tensor:
    """Return colours (N, 3, H, W) moved towards the true palette colours where they are nearest to another."""
    palette = palette_colours(form.palette, colours.device)
    truth = palette_image(batch.labels, form).nan_to_num(0.0)
    right = colours
    for share in SHARES:
        wrong = nearest_class(right, palette) != batch.labels
        right = torch.where(wrong[:, None], truth + share * (colours - truth), right)
    return right


def nearest_class(colours: Tensor, palette: Tensor) -> Tensor:
    """Return the class (N, H, W) whose palette colour is the nearest, as predictions are decoded."""
    logits: Tensor = Decoded(nn.Identity(), palette)(colours)
    return logits.argmax(dim=1)
