"""Checks of terms on unlabelled images: called by name with what they ask for of {logits, scores} -> scalar.

`logits` are (N, K, H, W), `scores` the critic's raw scores of what they predict, (N, 1, H, W), a function of them.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segbench.engine.adversarial.adversary import parameter_names

from .check import CheckFailed, CheckSkipped, check
from .examples import LOSS_VOCABULARY, NUM_CLASSES, built, given, normal, require_finite

if TYPE_CHECKING:
    from torch import Tensor

    from segbench.registry import Offer

    from .check import Check


NAMES = frozenset({"logits", "scores"})


HUGE = 1e4


# Scores of a critic that believes everything.
BELIEVING = 5.0


@check("Name the parameters `logits` and, if a critic is needed, `scores`; anything else needs a default.")
def term_asks_for_what_there_is(offer: Offer) -> None:
    """The term asks for nothing that the engine does not have."""
    fault = _fault(built(offer, LOSS_VOCABULARY))
    if fault is not None:
        raise CheckFailed(fault)


@check("Return one number as a tensor without dimensions.")
def term_is_a_scalar(offer: Offer) -> None:
    """The term is a scalar tensor."""
    value = _called(_term(offer), _logits(), BELIEVING)
    if not isinstance(value, torch.Tensor) or value.ndim != 0:
        found = f"a tensor {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise CheckFailed(f"returned {found}; expected a scalar tensor")


@check("Divide by the number of pixels that count, but at least by 1, and take logarithms by log_softmax and softplus.")
def term_is_finite(offer: Offer) -> None:
    """Term and gradient are finite for huge logits, and whether the critic believes everything or nothing."""
    term = _term(offer)
    for size in (1.0, HUGE):
        for belief in (-HUGE, 0.0, HUGE):
            logits = (size * _logits()).requires_grad_()
            what = f"logits of about {size:g} and scores of about {belief:g}"
            with given(what):
                value = torch.as_tensor(_called(term, logits, belief)).sum()
            require_finite({f"{what}: the term": value, f"{what}: the gradient": _gradient(value, logits)})


@check(
    "Let the term depend on the logits, or on the scores, by differentiable steps: labels made of them may be detached."
)
def gradients_reach_the_logits(offer: Offer) -> None:
    """The term has a gradient with respect to the logits, directly or through the scores."""
    logits = _logits().requires_grad_()
    gradient = _gradient(torch.as_tensor(_called(_term(offer), logits, BELIEVING)).sum(), logits)
    if gradient is None or not gradient.any():
        raise CheckFailed("the term has no gradient with respect to the logits")


CHECKS: tuple[Check, ...] = (
    term_asks_for_what_there_is,
    term_is_a_scalar,
    term_is_finite,
    gradients_reach_the_logits,
)


def _fault(term: Any) -> str | None:
    """Say what stands in the way of calling a term as the engine does."""
    if not callable(term):
        return f"build returned {type(term).__name__}, which cannot be called"
    signature = inspect.signature(term.forward if isinstance(term, nn.Module) else term)
    needed = {one.name for one in signature.parameters.values() if one.default is one.empty}
    if needed - NAMES:
        return f"it asks for {', '.join(sorted(needed - NAMES))}; there is {', '.join(sorted(NAMES))}"
    return None if NAMES & signature.parameters.keys() else "it asks for neither logits nor scores"


def _term(offer: Offer) -> Any:
    """Build the term; CheckSkipped if it cannot be called at all."""
    term = built(offer, LOSS_VOCABULARY)
    if _fault(term) is not None:
        raise CheckSkipped(f"it cannot be called, see {term_asks_for_what_there_is.name}")
    return term


def _logits() -> Tensor:
    return normal(2, NUM_CLASSES, 5, 7)


def _called(term: Any, logits: Tensor, belief: float) -> Any:
    """Call a term with logits, and with the scores, around `belief`, that a critic gives their probabilities."""
    names = parameter_names(term.forward if isinstance(term, nn.Module) else term)
    scores = belief + (logits.softmax(1) * normal(1, NUM_CLASSES, 1, 1, seed=4)).sum(1, keepdim=True)
    available = {"logits": logits, "scores": scores}
    return term(**{name: value for name, value in available.items() if name in names})


def _gradient(value: Tensor, logits: Tensor) -> Tensor | None:
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, logits, allow_unused=True)[0]
