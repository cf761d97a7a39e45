"""Checks of penalties on a discriminator; `segbench.contract.Penalty` says what they take and return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .check import CheckFailed, check
from .examples import (
    NUM_CLASSES,
    as_number,
    normal,
    prefix_errors,
    require_finite,
    require_scalar,
)
from .roles import build_loss

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.contract import Penalty
    from segbench.registry import Offer

    from .check import Check


SAMPLES = 3

CONDITION_CHANNELS = 2

# Slopes of discriminators from nearly flat to steep.
SLOPES = (0.01, 0.1, 1.0, 10.0, 100.0)


@check("Return one number as a tensor without dimensions: the mean over samples.")
def penalty_is_a_scalar(offer: Offer) -> None:
    """The penalty is a finite scalar tensor."""
    penalty = _penalty(offer)(_discriminator(), *_fields())
    require_scalar(penalty)
    require_finite({"the penalty": penalty})


@check("Penalise every map of a list: a multiscale discriminator returns one a scale.")
def lists_of_score_maps_are_taken(offer: Offer) -> None:
    """The discriminator may return a list of score maps of several sizes."""
    discriminator = _discriminator()

    def multiscale(shown: Tensor) -> list[Tensor]:
        return [discriminator(shown), nn.functional.avg_pool2d(discriminator(shown), 2)]

    with prefix_errors("a discriminator that returns two score maps"):
        require_finite({"the penalty": _number(_penalty(offer)(multiscale, *_fields()))})


@check("Call the discriminator on reals and on fakes apart, as they are, (N, F, H, W): it adds its condition to them.")
def bound_condition_fits(offer: Offer) -> None:
    """The discriminator is called on fields of the shape of real and fake, which its condition fits."""
    discriminator = _discriminator(NUM_CLASSES + CONDITION_CHANNELS)
    real, fake = _fields()
    condition = normal(SAMPLES, CONDITION_CHANNELS, *real.shape[-2:], seed=7)

    def conditional(shown: Tensor) -> Any:
        if shown.shape != real.shape:
            raise CheckFailed(
                f"the discriminator is called on {tuple(shown.shape)}; real and fake are {tuple(real.shape)}"
            )
        return discriminator(torch.cat([condition, shown], dim=1))

    _penalty(offer)(conditional, real, fake)


@check("Square it, or bound it by 0: a penalty must not be negative.")
def penalty_is_never_negative(offer: Offer) -> None:
    """The penalty is 0 or more for flat and steep discriminators."""
    for slope, penalty in _by_slope(offer).items():
        if penalty < 0:
            raise CheckFailed(f"the penalty of a discriminator of slope {slope:g} is {penalty:.6g}")


@check("Look at its sign: the steeper a discriminator becomes, the more it must pay.")
def steep_critics_pay_more(offer: Offer) -> None:
    """A discriminator ten times as steep as a steep one pays more."""
    penalties = _by_slope(offer)
    steep, steeper = SLOPES[-2:]
    if not penalties[steeper] > penalties[steep]:
        raise CheckFailed(
            f"slope {steep:g} costs {penalties[steep]:.6g}, slope {steeper:g} only {penalties[steeper]:.6g}"
        )


@check("Take the discriminator's gradient with create_graph=True, and detach no part of it.")
def gradients_reach_the_critic(offer: Offer) -> None:
    """The penalty has a gradient with respect to the discriminator's weights."""
    discriminator = _discriminator()
    penalty = _number(_penalty(offer)(discriminator, *_fields()))
    weights = list(discriminator.parameters())
    gradients = torch.autograd.grad(penalty, weights, allow_unused=True) if penalty.requires_grad else ()
    require_finite({f"gradient {place}": gradient for place, gradient in enumerate(gradients)})
    if not any(gradient is not None and gradient.any() for gradient in gradients):
        raise CheckFailed("the penalty has no gradient with respect to the discriminator's weights")


@check("Switch no autocast on and cast nothing down: a gradient's gradient overflows and loses its digits in 16 bits.")
def critic_is_called_in_float32(offer: Offer) -> None:
    """The discriminator is called on float32 fields without autocast, as the penalty is, and the penalty is float32."""
    discriminator = _discriminator()

    def observed(shown: Tensor) -> Any:
        if shown.dtype is not torch.float32 or torch.is_autocast_enabled(shown.device.type):
            autocast = " under autocast" if torch.is_autocast_enabled(shown.device.type) else ""
            raise CheckFailed(
                f"the discriminator is called on {shown.dtype} fields{autocast}; they were given in float32"
            )
        return discriminator(shown)

    penalty = _penalty(offer)(observed, *_fields())
    if isinstance(penalty, torch.Tensor) and penalty.dtype is not torch.float32:
        raise CheckFailed(f"the penalty is {penalty.dtype}")


@check(
    "Work on new tensors (shown = real.detach().requires_grad_() makes one) and take gradients with "
    "torch.autograd.grad, which stores none in the discriminator."
)
def nothing_given_is_changed(offer: Offer) -> None:
    """Fields and the discriminator's weights keep their values; neither holds a gradient afterwards."""
    discriminator, (real, fake) = _discriminator(), _fields()
    weights = [weight.detach().clone() for weight in discriminator.parameters()]
    _penalty(offer)(discriminator, real, fake)
    for name, before, after in zip(("real", "fake"), _fields(), (real, fake), strict=True):
        if after.requires_grad or after.grad is not None:
            raise CheckFailed(f"{name} asks for a gradient afterwards")
        if not torch.equal(before, after):
            raise CheckFailed(f"{name} is changed")
    for before, weight in zip(weights, discriminator.parameters(), strict=True):
        if weight.grad is not None or not weight.requires_grad or not torch.equal(before, weight):
            raise CheckFailed("the discriminator's weights are changed, frozen or left with a gradient")


CHECKS: tuple[Check, ...] = (
    penalty_is_a_scalar,
    lists_of_score_maps_are_taken,
    bound_condition_fits,
    penalty_is_never_negative,
    steep_critics_pay_more,
    gradients_reach_the_critic,
    critic_is_called_in_float32,
    nothing_given_is_changed,
)


def _penalty(offer: Offer) -> Penalty:
    penalty: Penalty = build_loss(offer)
    return penalty


def _fields() -> tuple[Tensor, Tensor]:
    """Return real and fake fields (N, K, H, W): one-hot and softened labels."""
    scores = 2 * normal(2, SAMPLES, NUM_CLASSES, 6, 8)
    real = nn.functional.one_hot(scores[0].argmax(1), NUM_CLASSES).movedim(-1, 1).float()
    return real, scores[1].softmax(1)


def _discriminator(channels: int = NUM_CLASSES) -> nn.Module:
    """Return a small smooth discriminator, whose gradient changes with its weights and its input."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 1, 3, padding=1))


def _by_slope(offer: Offer) -> dict[float, float]:
    """Return the penalties of one discriminator, its scores multiplied by each slope."""
    penalty, discriminator = _penalty(offer), _discriminator()
    return {slope: _of_slope(penalty, discriminator, slope) for slope in SLOPES}


def _of_slope(penalty: Penalty, discriminator: nn.Module, slope: float) -> float:
    torch.manual_seed(0)
    return as_number(penalty(lambda shown: slope * discriminator(shown), *_fields()))


def _number(penalty: Any) -> Tensor:
    return torch.as_tensor(penalty).sum()
