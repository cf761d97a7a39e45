"""Checks of terms on unlabelled images; `segbench.contract.UnlabelledTerm` says what they take and return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segbench.contract import UNLABELLED_ARGUMENTS
from segbench.engine.adversarial.adversary import parameter_names

from .check import CheckFailed, CheckSkipped, check
from .examples import (
    HUGE_SCORE,
    NUM_CLASSES,
    describe_unavailable,
    normal,
    prefix_errors,
    require_finite,
    require_scalar,
)
from .roles import build_loss

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check


# Scores of a discriminator that takes everything for real.
SURELY_REAL = 5.0


@check("Name the parameters `logits` and, if a discriminator is needed, `scores`; anything else needs a default.")
def term_asks_for_what_there_is(offer: Offer) -> None:
    """The term asks for nothing that the engine does not have."""
    fault = _fault(build_loss(offer))
    if fault is not None:
        raise CheckFailed(fault)


@check("Return one number as a tensor without dimensions.")
def term_is_a_scalar(offer: Offer) -> None:
    """The term is a scalar tensor."""
    value = _call(_term(offer), _logits(), SURELY_REAL)
    require_scalar(value)


@check("Divide by the number of pixels that count, but at least by 1, and take logarithms by log_softmax and softplus.")
def term_is_finite(offer: Offer) -> None:
    """Term and gradient are finite for huge logits and for scores of a discriminator that is very sure, either way."""
    term = _term(offer)
    for size in (1.0, HUGE_SCORE):
        for level in (-HUGE_SCORE, 0.0, HUGE_SCORE):
            logits = (size * _logits()).requires_grad_()
            what = f"logits of about {size:g} and scores of about {level:g}"
            with prefix_errors(what):
                value = torch.as_tensor(_call(term, logits, level)).sum()
            require_finite({f"{what}: the term": value, f"{what}: the gradient": _gradient(value, logits)})


@check(
    "Let the term depend on the logits, or on the scores, by differentiable steps: labels made of them may be detached."
)
def gradients_reach_the_logits(offer: Offer) -> None:
    """The term has a gradient with respect to the logits, directly or through the scores."""
    logits = _logits().requires_grad_()
    gradient = _gradient(torch.as_tensor(_call(_term(offer), logits, SURELY_REAL)).sum(), logits)
    if gradient is None or not gradient.any():
        raise CheckFailed("the term has no gradient with respect to the logits")


CHECKS: tuple[Check, ...] = (
    term_asks_for_what_there_is,
    term_is_a_scalar,
    term_is_finite,
    gradients_reach_the_logits,
)


def _fault(term: Any) -> str | None:
    """Say why the engine cannot call a term."""
    if not callable(term):
        return f"build returned {type(term).__name__}, which cannot be called"
    function = term.forward if isinstance(term, nn.Module) else term
    if unavailable := describe_unavailable(function, UNLABELLED_ARGUMENTS):
        return f"it {unavailable}"
    return None if UNLABELLED_ARGUMENTS & parameter_names(function) else "it asks for neither logits nor scores"


def _term(offer: Offer) -> Any:
    """Build the term; CheckSkipped if it cannot be called at all."""
    term = build_loss(offer)
    if _fault(term) is not None:
        raise CheckSkipped(f"it cannot be called, see {term_asks_for_what_there_is.name}")
    return term


def _logits() -> Tensor:
    return normal(2, NUM_CLASSES, 5, 7)


def _call(term: Any, logits: Tensor, level: float) -> Any:
    """Call a term with logits, and with the scores, around `level`, that a discriminator gives their probabilities."""
    names = parameter_names(term.forward if isinstance(term, nn.Module) else term)
    scores = level + (logits.softmax(1) * normal(1, NUM_CLASSES, 1, 1, seed=4)).sum(1, keepdim=True)
    available = {"logits": logits, "scores": scores}
    return term(**{name: value for name, value in available.items() if name in names})


def _gradient(value: Tensor, logits: Tensor) -> Tensor | None:
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, logits, allow_unused=True)[0]
