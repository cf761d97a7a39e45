"""Predictions that are right everywhere, whatever their confidence: what a critic can only tell by its encoding.

Made ones are smooth random logits, the largest of which belongs to the true class, at a chosen mean top probability.
Those of a trained network are its own; where they are wrong the values of the top class and of the true class change
places, so that the confidence at every pixel stays what it was.

Generators of palette colours are decoded by the nearest colour. There made predictions are the mean palette colour
under the probabilities; a wrong colour of a network keeps its offset, from the true palette colour; and a colour that
is then nearest to another class is moved towards its own until it no longer is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from segbench.errors import RecordError
from segbench.spec.maps import CLASSIFYING_MAPS
from segbench.spec.recipe import Encoding

from .data.batches import Batch
from .encodings import encode_real
from .network import Decoded
from .pairing import one_hot, palette_colours, palette_image
from .precision import autocast
from .seeds import random_generator

if TYPE_CHECKING:
    from torch import Tensor

    from .mapping import Mapping
    from .pairing import FieldForm
    from .recorded import RecordedNetwork

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


def made_predictions(mapping: Mapping, level: float, seed: int) -> Predict:
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


def network_predictions(recorded: RecordedNetwork, mapping: Mapping) -> Predict:
    """Return what corrects a trained network's predictions; RecordError if the critic would not be shown such."""
    trained, form = recorded.mapping.maps, mapping.form
    if trained not in (CLASSIFYING_MAPS if mapping.maps in CLASSIFYING_MAPS else ("image -> image",)):
        raise RecordError(
            f"{recorded.key}: its network maps {trained!r}; the critic of what maps {mapping.maps!r} is not shown such "
            "predictions of images"
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
