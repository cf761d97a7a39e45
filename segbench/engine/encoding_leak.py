"""Measure whether a discriminator can tell true labels from correct predictions by their encoding alone.

A prediction is correct here where its argmax is the true class at every pixel. What then still separates real from
fake is the encoding. A held-out accuracy of 0.5 is clean; at 1.0 the discriminator wins on sharpness alone and teaches
the generator nothing else. Where both fields are equal bit by bit (`difference` 0) no discriminator can leave 0.5,
except by the random draws of its dropout.

The discriminator is built and trained as in a cell: network, loss, penalty, clip, condition, optimiser and batches of
the recipe. Two things differ. Its learning rate falls to 0 along a cosine: at a constant one the accuracy of the last
step swings widely, and with it the verdict. And a placebo is left out. The accuracy is measured in training mode, as
in a cell, since normalisation over batches would otherwise mix the statistics of real and fake.

Synthetic predictions are smooth random logits at a chosen mean top probability, the largest one at the true class. A
trained network's predictions are corrected: where one is wrong, the values of the top class and of the true class are
exchanged, so the confidence at every pixel stays as it was.

Generators of palette colours are decoded by the nearest colour. Their synthetic predictions are the mean palette
colour under the probabilities. A network's wrong colours are shifted by (true - predicted palette colour); if the
result still decodes to another class, it is moved towards the true palette colour until it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from segbench.config.optimizer import Optimizer, Schedule
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
from segbench.engine.model.optimizers import learning_rate_factor, set_learning_rate
from segbench.engine.training.loop import update_discriminator
from segbench.engine.training.setup import build_adversary, crops
from segbench.engine.training.state import TrainingState
from segbench.errors import CellError, DataError, RecordError, SpecError
from segbench.plan.cell import Subset
from segbench.registry import load_registry

from .numerics import apply_numeric_settings, autocast, derive, name_device_errors, random_generator

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

Verdict = Literal["clean", "leaks", "strong leak", "undefined"]

# Only these have an encoding: label fields, and palette colours that stand for labels.
PROBED_MAPS = (*ENCODED_MAPS, "image -> image")

SYNTHETIC = "made"  # what a finding about synthetic predictions is called in records

HARMLESS_ACCURACY = 0.51  # an accuracy up to this matters to no training
LEAK_STANDARD_ERRORS = 3  # by which a leak is above HARMLESS_ACCURACY; crops of few images are not quite independent
STRONG_ACCURACY = 0.9
HELD_OUT_BATCHES = 20  # over which an accuracy is averaged
HELD_OUT_SHARE = 4  # without a val split, every fourth training image is held out

ANNEALED = Schedule(use="cosine")

# Mean top probabilities of synthetic predictions, from undecided to nearly one-hot; below 1 / K there is none.
SYNTHETIC_CONFIDENCES = (0.41, 0.6, 0.83, 0.99, 0.9999)
LOGIT_GRID = 8  # pixels between independent random logits; those in between are interpolated
LEAST_LEAD = 0.2  # of the true class over the next, before sharpening, at logits of standard deviation 1
BISECTIONS = 40

# The shares of its distance from the true palette colour that a colour of another class keeps, tried in turn.
OFFSET_SHARES = (0.5, 0.25, 0.125, 0.0)


@dataclass(frozen=True)
class Finding:
    """How well a discriminator tells the truth from one kind of correct predictions of held-out images.

    `predictions` is "made" for synthetic ones, or the key of a network's cell; `confidence` their mean top probability
    (None for a network's colours); `difference` the mean absolute difference of real and fake fields; `accuracy` the
    mean of the accuracies on real and on fake with its standard error over batches, None where the loss never scores
    real against fake.
    """

    predictions: str
    confidence: float | None
    difference: float
    accuracy: float | None = None
    standard_error: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the accuracy is above HARMLESS_ACCURACY by LEAK_STANDARD_ERRORS standard errors, and above
        STRONG_ACCURACY.

        Equal fields are clean even if there is no accuracy.
        """
        if self.accuracy is None or self.standard_error is None:
            return "clean" if self.difference == 0 else "undefined"
        if self.accuracy - LEAK_STANDARD_ERRORS * self.standard_error <= HARMLESS_ACCURACY:
            return "clean"
        return "strong leak" if self.accuracy > STRONG_ACCURACY else "leaks"


class CorrectPredictions(NamedTuple):
    """A generator's output as `pairing` takes it, and the top probability of its pixels (N, H, W), None for colours."""

    output: Tensor
    top_probability: Tensor | None


# Predicts the labels of a batch; the second argument is a step, which all randomness is drawn from.
Predict = Callable[[Batch, int], CorrectPredictions]


def check_can_be_probed(method: Method) -> None:
    """Raise SpecError if a method has no discriminator, or one that is shown no encoded labels."""
    if method.adversarial is None:
        raise SpecError(
            f"method {method.name!r} has no adversarial loss, so it has no discriminator to probe; name a method with "
            "discriminator and adversarial"
        )
    if method.maps not in PROBED_MAPS:
        raise SpecError(
            f"method {method.name!r} maps {method.maps!r}: its discriminator compares images with images, and no "
            f"labels are encoded that could leak; methods that can be probed map {quote_names(PROBED_MAPS)}"
        )


def probe_leak(
    cell: Cell, device: torch.device, steps: int, trained: RecordedNetwork | None = None
) -> Iterator[Finding]:
    """Yield a finding for each kind of correct predictions, from a new discriminator trained on it for `steps` steps.

    First come synthetic predictions at every reachable level of confidence, then those of a trained network. Where
    real and fake are equal there is nothing to learn, and training is skipped. Raises SpecError as
    `check_can_be_probed` does, RecordError for a network that does not fit dataset or discriminator, CellError if
    scores are no longer finite.
    """
    check_can_be_probed(cell.method)
    cell, registry = without_placebo(cell), load_registry()
    apply_numeric_settings(cell.method.protocol)
    with name_device_errors(device):
        data = open_data(cell, registry, device)
        mapping = mapping_of(cell, data)
        sources = [
            (SYNTHETIC, synthetic_predictor(mapping, level, cell.seed)) for level in reachable_levels(data.num_classes)
        ]
        if trained is not None:
            check_same_classes(trained, data.dataset)
            sources.append((trained.key, network_predictor(trained, mapping)))
        places, held_out = split_images(cell, data)
        for name, predict in sources:
            adversary = build_adversary(cell, registry, data, device, mapping, places, None)
            found = measure(name, adversary, predict, held_out, cell.seed, steps)
            if found.difference > 0 and adversary.compares_scores:
                train_discriminator(adversary, predict, cell, steps)
                found = measure(name, adversary, predict, held_out, cell.seed, steps)
            yield found


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
    trained = adversarial.model_copy(update={"placebo": None})
    return cell.model_copy(update={"method": method.model_copy(update={"adversarial": trained})})


def split_images(cell: Cell, data: CellData) -> tuple[Places, TrainingBatches]:
    """Return the places in train that the discriminator learns from, and crops of held-out images to measure it on.

    Held out is the val split, or a part of train where val gives no crops of that size. Raises DataError if train
    has too few images to spare any.
    """
    places = split_places(data.packed("train"), Subset.parse(cell.subset))
    if "val" in data.dataset.splits and (cell.method.protocol.crop or _have_one_size(data)):
        with suppress(DataError):
            return places, crops(cell, data, "val", stream="held out")
    held_out = places.labelled[::HELD_OUT_SHARE]
    learnt_from = tuple(sorted(set(places.labelled).difference(held_out)))
    if not learnt_from:
        raise DataError(
            f"the probe measures on images that its discriminator was not trained on; the dataset has no val split to "
            f"take them from, and only {len(places.labelled)} labelled training image; it needs at least 2"
        )
    return places._replace(labelled=learnt_from), crops(cell, data, "train", places=held_out, stream="held out")


def train_discriminator(adversary: Adversary, predict: Predict, cell: Cell, steps: int) -> None:
    """Train a discriminator to tell the truth from predictions."""
    assert adversary.batches is not None
    # No generator learns here; the discriminator stands in its place, without what the generator's optimiser is told.
    protocol = cell.method.protocol.model_copy(update={"optimizer": Optimizer()})
    state = TrainingState.start(adversary.discriminator, adversary, protocol, adversary.device)
    optimizer, rate = state.discriminator_of(adversary).optimizer, adversary.recipe.optimizer.lr
    for step in range(steps):
        set_learning_rate(optimizer, rate * learning_rate_factor(ANNEALED, step, step / steps))
        batch = adversary.batches.at(step)
        torch.manual_seed(derive(cell.seed, "probe", step))
        update_discriminator(adversary, state, adversary.pair(batch, predict(batch, step).output), batch.labels)


def measure(
    name: str, adversary: Adversary, predict: Predict, held_out: TrainingBatches, seed: int, steps: int
) -> Finding:
    """Return how well a discriminator does on held-out batches.

    Their random draws are those of the steps from `steps` on, which its training does not use.
    """
    confidences, differences, accuracies = [], [], []
    for number in range(HELD_OUT_BATCHES):
        batch, step = held_out.at(number), steps + number
        torch.manual_seed(derive(seed, "probe", step))
        predicted = predict(batch, step)
        pair = adversary.pair(batch, predicted.output)
        differences.append(masked_mean((pair.real - pair.fake).abs(), pair.mask))
        if predicted.top_probability is not None:
            known = batch.labels[:, None] != held_out.ignore_index
            confidences.append(masked_mean(predicted.top_probability, known))
        if adversary.compares_scores:
            accuracies.append(accuracy_on(adversary, pair))
    return Finding(name, _mean(confidences), float(torch.stack(differences).mean()), *_estimate(accuracies, steps))


def accuracy_on(adversary: Adversary, pair: Pair) -> torch.Tensor:
    """Return the mean of the accuracies on real and fake (`monitor.observe_scores`); NaN if a score is not finite."""
    with torch.no_grad():
        real, fake = (adversary.discriminate(pair.condition, shown) for shown in (pair.real, pair.fake))
    seen = observe_scores(real.scores, fake.scores, adversary.boundary, mask=pair.mask)
    both = (seen["real_accuracy"] + seen["fake_accuracy"]) / 2
    return both.where((seen["real"] + seen["fake"]).isfinite(), torch.nan)


def _estimate(accuracies: list[torch.Tensor], steps: int) -> tuple[float, float] | tuple[None, None]:
    """Return the mean and its standard error; CellError if it is not finite."""
    if not accuracies:
        return None, None
    values = torch.stack(accuracies)
    if not values.isfinite().all():
        raise CellError(
            f"the discriminator's scores are not finite after {steps} steps; lower adversarial.optimizer.lr, or bound "
            "the discriminator by clip or a penalty"
        )
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


def _have_one_size(data: CellData) -> bool:
    return common_size(data.resized("train")) == common_size(data.resized("val"))


def _mean(values: list[torch.Tensor]) -> float | None:
    return float(torch.stack(values).mean()) if values else None


def reachable_levels(num_classes: int) -> tuple[float, ...]:
    """Return the levels of mean top probability that K classes can have.

    >>> reachable_levels(2)
    (0.6, 0.83, 0.99, 0.9999)
    """
    return tuple(level for level in SYNTHETIC_CONFIDENCES if level > 1 / num_classes)


def synthetic_predictor(mapping: GeneratorMapping, level: float, seed: int) -> Predict:
    """Return a function that makes predictions with a mean top probability of about `level`."""
    factor, form = sharpness(level, mapping.form.num_classes), mapping.form

    def predict(batch: Batch, step: int) -> CorrectPredictions:
        shape = (len(batch.labels), form.num_classes, *batch.labels.shape[-2:])
        noise = smooth_noise(shape, random_generator(seed, "made predictions", step)).to(batch.labels.device)
        logits = factor * (correct_logits(noise, batch, form) + LEAST_LEAD * one_hot(batch.labels, form))
        probabilities = logits.softmax(dim=1)
        match mapping.maps:
            case "image -> image":
                output = correct_colours(mix_colours(probabilities, form), batch, form)
            case "noise -> image, labels":
                output = torch.cat([batch.images, logits], dim=1)
            case _:
                output = logits
        return CorrectPredictions(output, probabilities.amax(dim=1))

    return predict


def network_predictor(recorded: RecordedNetwork, mapping: GeneratorMapping) -> Predict:
    """Return a function that predicts with a trained network and corrects its mistakes.

    Raises RecordError if the probed discriminator is not shown predictions of that kind.
    """
    trained, form = recorded.mapping.maps, mapping.form
    if trained not in (CLASSIFYING_MAPS if mapping.maps in CLASSIFYING_MAPS else ("image -> image",)):
        raise RecordError(
            f"{recorded.key}: its network maps {trained!r}; the discriminator of what maps {mapping.maps!r} is "
            "not shown predictions of that kind"
        )
    in_colours = isinstance(recorded.network, Decoded)
    network = recorded.network.generator if isinstance(recorded.network, Decoded) else recorded.network

    def predict(batch: Batch, step: int) -> CorrectPredictions:
        with torch.no_grad(), autocast(batch.images.device, recorded.protocol.precision):
            output = network(batch.images).float()
        if in_colours:
            return CorrectPredictions(correct_colours(shift_to_true_colours(output, batch, form), batch, form), None)
        return CorrectPredictions(correct_logits(output, batch, form), output.softmax(dim=1).amax(dim=1))

    return predict


def sharpness(level: float, num_classes: int) -> float:
    """Return the factor on synthetic logits of K classes for a mean top probability of `level`, between 1/K and 1."""
    logits = smooth_noise((8, num_classes, 64, 64), random_generator(0, "sharpness"))
    logits = logits.scatter_add(1, logits.argmax(dim=1, keepdim=True), torch.full_like(logits[:, :1], LEAST_LEAD))
    low, high = 1e-3, 1e4
    for _ in range(BISECTIONS):
        middle = (low * high) ** 0.5
        too_sharp = (middle * logits).softmax(dim=1).amax(dim=1).mean() > level
        low, high = (low, middle) if too_sharp else (middle, high)
    return low


def smooth_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return normal noise (N, K, H, W) that is interpolated between grid points LOGIT_GRID pixels apart."""
    number, channels, *size = shape
    points = [-(-length // LOGIT_GRID) + 1 for length in size]
    noise = torch.randn((number, channels, *points), generator=generator)
    return functional.interpolate(noise, size=tuple(size), mode="bilinear", align_corners=True)


def correct_logits(logits: Tensor, batch: Batch, form: FieldForm) -> Tensor:
    """Exchange the logits (N, K, H, W) of the top class and of the true class."""
    return encode_real(Encoding(use="confidence_matched"), one_hot(batch.labels, form), logits, batch.images)


def mix_colours(probabilities: Tensor, form: FieldForm) -> Tensor:
    """Return the mean palette colours (N, 3, H, W) in [-1, 1] under probabilities (N, K, H, W)."""
    return torch.einsum("nkhw,kc->nchw", probabilities, palette_colours(form.palette, probabilities.device))


def shift_to_true_colours(colours: Tensor, batch: Batch, form: FieldForm) -> Tensor:
    """Shift colours (N, 3, H, W) by the difference of the true palette colour and the nearest one."""
    palette = palette_colours(form.palette, colours.device)
    nearest = palette[nearest_class(colours, palette)].movedim(-1, 1)
    truth = palette_image(batch.labels, form).nan_to_num(0.0)
    return torch.where(nearest == truth, colours, truth + (colours - nearest)).clamp(-1, 1)


def correct_colours(colours: Tensor, batch: Batch, form: FieldForm) -> Tensor:
    """Move colours (N, 3, H, W) that decode to another class towards the true palette colour until they do not."""
    palette = palette_colours(form.palette, colours.device)
    truth = palette_image(batch.labels, form).nan_to_num(0.0)
    right = colours
    for share in OFFSET_SHARES:
        wrong = nearest_class(right, palette) != batch.labels
        right = torch.where(wrong[:, None], truth + share * (colours - truth), right)
    return right


def nearest_class(colours: Tensor, palette: Tensor) -> Tensor:
    """Return the class (N, H, W) of the nearest palette colour, which is how predictions are decoded."""
    logits: Tensor = Decoded(nn.Identity(), palette)(colours)
    return logits.argmax(dim=1)
