"""Checks of what a generator takes and returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .check import CheckFailed, CheckSkipped, check
from .example_inputs import given
from .generator_trial import build_trial, differ

if TYPE_CHECKING:
    from segbench.registry import Offer

    from .check import Check
    from .generator_trial import Size, Trial

ODD_SIZES: tuple[Size, ...] = ((65, 97), (33, 47))
CHANNEL_NUMBERS = (1, 3, 4, 6)
CLASS_NUMBERS = (2, 5, 19)


@check(
    "Return logits (N, num_classes, h, w), or images or colours, as float32, whatever H and W; logits of another size "
    "are resized for you. If your network needs multiples of some number of pixels or a least size, state them as the "
    "module's attributes `size_multiple` and `minimum_size`, and images are padded. Pad where feature maps of odd "
    "sizes meet, or resize one to the other's size."
)
def output_fits_images_of_odd_sizes(offer: Offer) -> None:
    """In training and in evaluation an output has the promised shape and type, also where height and width are odd."""
    trial = build_trial(offer)
    for size in ODD_SIZES:
        if not trial.makes_labels:
            trial = build_trial(offer, size=size)
        for mode in (True, False):
            trial.network.train(mode)
            where = f"{'training' if mode else 'evaluation'} with {'images' if trial.makes_labels else 'a size'} of "
            _check_output(trial, size, where + f"{size[0]}x{size[1]}")


@check("Take the number of input channels from `in_channels` (that of images made: `image_channels`).")
def any_number_of_channels_will_do(offer: Offer) -> None:
    """Images may have 1, 3, 4 or more channels."""
    for channels in CHANNEL_NUMBERS:
        what = f"{channels} image channel{'s' if channels > 1 else ''}"
        with given(f"building for {what}"):
            trial = build_trial(offer, channels=channels)
        trial.network.eval()
        _check_output(trial, trial.size, what)


@check("Take the number of classes from `num_classes`; neither a background nor an ignored class is to be added to it.")
def any_number_of_classes_will_do(offer: Offer) -> None:
    """There may be 2, 5 or 19 classes."""
    for classes in CLASS_NUMBERS:
        with given(f"building for {classes} classes"):
            trial = build_trial(offer, num_classes=classes)
        trial.network.eval()
        _check_output(trial, trial.size, f"{classes} classes")


@check("Keep the batch dimension: `x.squeeze()` and `x[0]` drop it where a batch holds one image; name a dimension.")
def one_image_is_a_batch(offer: Offer) -> None:
    """In evaluation a batch may hold a single image."""
    trial = build_trial(offer)
    trial.network.eval()
    _check_output(trial, trial.size, "a batch of one", number=1)


@check("In evaluation compute nothing across the batch dimension: a score must not depend on what lies in its batch.")
def images_of_a_batch_do_not_meet_in_evaluation(offer: Offer) -> None:
    """In evaluation the output for an image is the same whatever the other images of its batch are."""
    trial = build_trial(offer)
    trial.network.eval()
    batch, other = trial.batch(seed=0), trial.batch(seed=1)
    inputs = trial.inputs(batch)
    mixed = tuple(torch.cat([one[:1], two.flip(0)[:1]]) for one, two in zip(inputs, trial.inputs(other), strict=True))
    found = differ(trial.output_for(inputs)[0], trial.output_for(mixed)[0])
    if found:
        raise CheckFailed(f"with another image beside it, the output for an image differs {found}")


@check(
    "Change no input in place: `x += 1`, `nn.ReLU(inplace=True)` and the like need a copy of what comes from outside."
)
def inputs_are_left_unchanged(offer: Offer) -> None:
    """The tensors that `forward` receives are the same afterwards: the engine goes on using them."""
    trial = build_trial(offer)
    for mode in (True, False):
        trial.network.train(mode)
        inputs = trial.inputs(trial.batch())
        before = [one.clone() for one in inputs]
        trial.output_for(inputs)
        if not all(map(torch.equal, inputs, before)):
            raise CheckFailed(f"in {'training' if mode else 'evaluation'} `forward` changes the values of its input")


@check("End with `.tanh()`: images and colours lie in [-1, 1] everywhere in segbench.")
def colours_lie_between_minus_one_and_one(offer: Offer) -> None:
    """What a generator paints lies in [-1, 1]."""
    trial = build_trial(offer)
    if trial.mapping.maps.endswith("-> labels"):
        raise CheckSkipped("it makes labels, not images")
    painted = trial.output(trial.batch())
    if trial.mapping.maps == "noise -> image, labels":
        painted = painted[:, : trial.channels]
    if painted.abs().max().item() > 1:
        raise CheckFailed(f"values from {painted.min().item():.3g} to {painted.max().item():.3g} were found")


CHECKS: tuple[Check, ...] = (
    output_fits_images_of_odd_sizes,
    any_number_of_channels_will_do,
    any_number_of_classes_will_do,
    one_image_is_a_batch,
    images_of_a_batch_do_not_meet_in_evaluation,
    inputs_are_left_unchanged,
    colours_lie_between_minus_one_and_one,
)


def _check_output(trial: Trial, size: Size, where: str, number: int = 2) -> None:
    """Raise CheckFailed unless the output for a batch is float32 and of the shape that the engine expects."""
    batch = trial.batch(number, size)
    with given(where):
        output = trial.output(batch)
    expected = (number, trial.mapping.output_channels(trial.channels), *size)
    if output.shape != expected:
        raise CheckFailed(f"{where}: the output has the shape {tuple(output.shape)}, expected is {expected}")
    if output.dtype != torch.float32:
        raise CheckFailed(f"{where}: the output is {output.dtype}, expected is torch.float32")
