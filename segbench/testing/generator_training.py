"""Checks of how a generator is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segbench.engine.network import Segmenter, auxiliary_target

from .check import CheckFailed, CheckSkipped, check
from .coloured import class_colours, nearest_class
from .generator_trial import IGNORE_INDEX, backward, build_trial, first, listed, skip_untrained

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.engine.data.batches import Batch
    from segbench.registry import Offer

    from .check import Check
    from .generator_trial import Trial

IMAGES = 4
STEPS = 50
# The first will do for most networks, the second for deep ones without normalisation, the third for shallow ones.
LEARNING_RATES = (3e-3, 3e-4, 1e-2)
ENOUGH = 0.9  # of the pixels


@check(
    "Use every parameter in training, by the output or by `auxiliary_loss(auxiliary, target)` on what else is "
    "returned; remove what is not used, or set requires_grad to False where it is to stay as it is."
)
def training_reaches_every_parameter(offer: Offer) -> None:
    """The supervised and the auxiliary loss give every parameter that requires a gradient a finite one."""
    trial = build_trial(offer)
    skip_untrained(trial)
    batch = trial.batch()
    backward(trial.loss(batch, trial.network(*trial.inputs(batch))))
    unreached = [name for name, parameter in trial.parameters.items() if parameter.grad is None]
    if unreached:
        raise CheckFailed(f"no gradient reaches {listed(unreached)}")
    infinite = [
        name for name, one in trial.parameters.items() if one.grad is not None and not one.grad.isfinite().all()
    ]
    if infinite:
        raise CheckFailed(f"the gradient is infinite or NaN for {listed(infinite)}")


@check(
    "Let `auxiliary_loss` leave out the pixels whose target is -100, and return 0 where there is no other: divide the "
    "sum of the loss by the number of the others, 1 at least."
)
def auxiliary_loss_bears_ignored_pixels(offer: Offer) -> None:
    """The auxiliary loss is finite where half of the pixels, or all of them, are ignored."""
    trial = build_trial(offer)
    batch = trial.batch()
    returned = trial.network(*trial.inputs(batch))
    if not isinstance(trial.network, Segmenter) or not isinstance(returned, tuple):
        raise CheckSkipped("it returns no auxiliary outputs")
    some = batch.labels.clone()
    some[:, : trial.size[0] // 2] = IGNORE_INDEX
    for name, labels in (("half of the pixels are", some), ("all pixels are", torch.full_like(some, IGNORE_INDEX))):
        loss = trial.network.auxiliary_loss(returned[1:], auxiliary_target(labels, IGNORE_INDEX))
        if loss is not None and not loss.isfinite():
            raise CheckFailed(f"the auxiliary loss is {loss.item()} where {name} ignored")


@check(
    "Look for a last layer without gradient, a wrong axis of the softmax, features too coarse to tell quarters of an "
    "image apart, or normalisation that removes colour."
)
def colours_can_be_learned(offer: Offer) -> None:
    """Four images of 64x64 pixels, their classes decided by colour, are learned by heart in a few steps of Adam."""
    skip_untrained(build_trial(offer))
    best = 0.0
    for rate in LEARNING_RATES:
        best = max(best, _learned(build_trial(offer), rate))
        if best >= ENOUGH:
            return
    raise CheckFailed(
        f"{STEPS} steps of Adam at the best of the learning rates {', '.join(map(str, LEARNING_RATES))} bring "
        f"{best:.0%} of the pixels right, in training, on {IMAGES} images of four quarters, each of the colour of its "
        f"class; {ENOUGH:.0%} are asked for"
    )


CHECKS: tuple[Check, ...] = (
    training_reaches_every_parameter,
    auxiliary_loss_bears_ignored_pixels,
    colours_can_be_learned,
)


def _learned(trial: Trial, rate: float) -> float:
    """Train the generator until it has learned enough or for all steps; return the best share of pixels right."""
    batch, best = trial.batch(IMAGES), 0.0
    optimizer = torch.optim.Adam(trial.parameters.values(), lr=rate)
    for step in range(STEPS):
        torch.manual_seed(step)
        returned = trial.network(*trial.inputs(batch))
        best = max(best, _share_right(trial, batch, first(returned).detach()))
        if best >= ENOUGH:
            break
        optimizer.zero_grad()
        backward(trial.loss(batch, returned))
        optimizer.step()
    return best


def _share_right(trial: Trial, batch: Batch, output: Tensor) -> float:
    """Return the share of the pixels whose class is right: by logits, by palette colours or by the image made."""
    return (_classes(trial, output.float()) == batch.labels).float().mean().item()


def _classes(trial: Trial, output: Tensor) -> Tensor:
    number = trial.mapping.form.num_classes
    match trial.mapping.maps:
        case "image -> labels" | "image, labels -> labels":
            return output.argmax(dim=1)
        case "noise -> image, labels":
            return output[:, trial.channels :].argmax(dim=1)
        case _:
            return nearest_class(output, class_colours(number, output.shape[1]))
