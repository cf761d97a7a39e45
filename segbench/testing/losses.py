"""Checks of supervised losses; `segbench.contract.SupervisedLoss` says what they take and return."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.autograd.gradcheck import GradcheckError

from .check import CheckFailed, check
from .examples import (
    HUGE_SCORE,
    as_number,
    make_comparison,
    prefix_errors,
    require_finite,
    require_scalar,
)
from .roles import build_loss

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.contract import SupervisedLoss
    from segbench.registry import Offer

    from .check import Check


RANDOM_OUTPUTS = 8

ROUNDING = 1e-4


@check("Return one number as a tensor without dimensions, a mean rather than a value a pixel, not detached.")
def loss_is_a_scalar(offer: Offer) -> None:
    """The loss is a scalar tensor that depends on the output."""
    compared = make_comparison(offer)
    value = _loss(offer)(compared.output(0).requires_grad_(), compared.target)
    require_scalar(value)
    if not value.requires_grad:
        raise CheckFailed("the loss has no gradient with respect to the output")


@check("Work with logarithms of probabilities (log_softmax, logsumexp), never with the logarithm of a softmax.")
def huge_outputs_give_a_finite_loss(offer: Offer) -> None:
    """Loss and gradient are finite where the output is huge, right or wrong."""
    compared, loss = make_comparison(offer), _loss(offer)
    for mistaken in (torch.zeros_like(compared.ignored), torch.ones_like(compared.ignored)):
        sign = compared.outputs_predicting(mistaken)[-1].sign()
        _check_finite(loss, HUGE_SCORE * sign, compared.target, f"outputs of {HUGE_SCORE:g}")


@check("Divide by the number of labelled pixels, but at least by 1: a crop may hold none.")
def batch_without_labels_gives_a_finite_loss(offer: Offer) -> None:
    """Loss and gradient are finite where every pixel is ignored."""
    compared = make_comparison(offer, ignored_share=1.0)
    _check_finite(_loss(offer), compared.output(0), compared.target, "a batch whose pixels are all ignored")


@check("Leave pixels with ignore_index (in images: NaN) out of every sum, count and mean; `build` may ask for it.")
def ignored_pixels_change_nothing(offer: Offer) -> None:
    """The output at ignored pixels changes neither the loss nor, being without gradient, the network."""
    compared, loss = make_comparison(offer), _loss(offer)
    output = compared.output(0)
    other = torch.where(compared.ignored, compared.output(1) * 5, output)
    values = [as_number(loss(one, compared.target)) for one in (output, other)]
    if abs(values[0] - values[1]) > ROUNDING * (1 + abs(values[0])):
        raise CheckFailed(f"another output at ignored pixels changes the loss from {values[0]:.6g} to {values[1]:.6g}")
    gradient = _gradient(loss, output, compared.target)
    if gradient is not None and gradient.masked_select(compared.ignored).any():
        raise CheckFailed("ignored pixels have a gradient")


@check(
    "Let the value depend on the output by differentiable steps alone (no detach of a part that counts), compute in "
    "float64 where the output is, and correct a backward of your own."
)
def gradient_is_that_of_the_value(offer: Offer) -> None:
    """In float64 the gradient is what small changes of the output do to the loss."""
    compared, loss = make_comparison(offer, height=3, width=4), _loss(offer)
    output = compared.output(0).double().requires_grad_()
    target = compared.target.double() if compared.target.is_floating_point() else compared.target
    try:
        torch.autograd.gradcheck(lambda one: _value(loss, one, target.clone()), (output,))
    except GradcheckError as error:
        raise CheckFailed(f"torch.autograd.gradcheck: {' '.join(str(error).split())[:300]}") from error


@check("Look at the sign, and at whether labels and channels are meant alike: the truth must cost least.")
def truth_costs_least(offer: Offer) -> None:
    """The truth, at its best confidence, costs less than a fifth of mistakes, than all mistakes, and than chance."""
    compared, loss = make_comparison(offer), _loss(offer)
    nowhere, everywhere = torch.zeros_like(compared.ignored), torch.ones_like(compared.ignored)
    best = min(_values(loss, compared.outputs_predicting(nowhere), compared.target))
    others = {
        "a fifth of mistakes": compared.outputs_predicting(_every_fifth(everywhere)),
        "nothing but mistakes": compared.outputs_predicting(everywhere),
        "a random output": [compared.output(seed) for seed in range(RANDOM_OUTPUTS)],
    }
    for what, outputs in others.items():
        cost = min(_values(loss, outputs, compared.target))
        if not best < cost:
            raise CheckFailed(f"the truth costs {best:.6g} at best, {what} {cost:.6g}")


@check("Weigh pixels by what they show, not by where they are; a loss of neighbourhoods lists this as a known failure.")
def places_of_pixels_do_not_matter(offer: Offer) -> None:
    """Moving pixels within the image, in output and target alike, leaves the loss as it is."""
    compared, loss = make_comparison(offer), _loss(offer)
    output, target = compared.output(0), compared.target
    height, width = output.shape[-2:]
    order = torch.randperm(height * width, generator=torch.Generator().manual_seed(1))
    moved = [tensor.flatten(-2)[..., order].view(tensor.shape) for tensor in (output, target)]
    before, after = as_number(loss(output, target.clone())), as_number(loss(*moved))
    if abs(before - after) > ROUNDING * (1 + abs(before)):
        raise CheckFailed(f"the same pixels in other places cost {after:.6g} instead of {before:.6g}")


@check("Write to neither argument: use masked_fill and where instead of masked_fill_ and assignment.")
def arguments_are_left_as_they_are(offer: Offer) -> None:
    """Output and target are unchanged afterwards: other losses are given the same."""
    compared = make_comparison(offer)
    output, target = compared.output(0), compared.target
    _loss(offer)(output, target)
    for name, before, after in (("output", compared.output(0), output), ("target", compared.target, target)):
        if not torch.equal(before.nan_to_num(), after.nan_to_num()) or not torch.equal(before.isnan(), after.isnan()):
            raise CheckFailed(f"the loss changes its {name}")


CHECKS: tuple[Check, ...] = (
    loss_is_a_scalar,
    huge_outputs_give_a_finite_loss,
    batch_without_labels_gives_a_finite_loss,
    ignored_pixels_change_nothing,
    gradient_is_that_of_the_value,
    truth_costs_least,
    places_of_pixels_do_not_matter,
    arguments_are_left_as_they_are,
)


def _loss(offer: Offer) -> SupervisedLoss:
    loss: SupervisedLoss = build_loss(offer)
    return loss


def _value(loss: SupervisedLoss, output: Tensor, target: Tensor) -> Tensor:
    """Return the loss as one number, whatever its shape; the target is a copy for the loss."""
    return torch.as_tensor(loss(output, target.clone())).sum()


def _values(loss: SupervisedLoss, outputs: list[Tensor], target: Tensor) -> list[float]:
    return [as_number(loss(output, target.clone())) for output in outputs]


def _gradient(loss: SupervisedLoss, output: Tensor, target: Tensor) -> Tensor | None:
    """Return the gradient with respect to the output, None if there is none."""
    output = output.clone().requires_grad_()
    value = _value(loss, output, target)
    return torch.autograd.grad(value, output, allow_unused=True)[0] if value.requires_grad else None


def _check_finite(loss: SupervisedLoss, output: Tensor, target: Tensor, what: str) -> None:
    with prefix_errors(what):
        value, gradient = _value(loss, output, target), _gradient(loss, output, target)
    require_finite({f"{what}: the loss": value, f"{what}: the gradient": gradient})


def _every_fifth(everywhere: Tensor) -> Tensor:
    return (torch.arange(everywhere.numel()) % 5 == 0).view(everywhere.shape)
