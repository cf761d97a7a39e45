"""The check of a loss's role: whether what `build` returns can be called as its role says."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torch import nn

from segbench.contract import UNLABELLED_ARGUMENTS

from .check import CheckFailed, CheckSkipped, check
from .examples import LOSS_VOCABULARY, build_example

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.registry import Offer

    from .check import Check


PLAYERS = ("discriminator", "generator")
# What a loss of each role is called with; an unlabelled term is known by the names it asks for.
BY_NUMBER_OF_ARGUMENTS = {2: "supervised", 3: "penalty"}


@check(
    "State the role in its Component, such as role='adversarial', or give what `build` returns the methods of its role."
)
def loss_has_the_role_it_states(offer: Offer) -> None:
    """What `build` returns is called as a loss of its role is, and not as one of another role."""
    stated = offer.component.role
    if found := find_other_role(build_example(offer, LOSS_VOCABULARY), stated):
        raise CheckFailed(
            f"its Component states role={stated!r}, but what build returns is a loss with role={found!r}; "
            f"write Component(..., role={found!r})"
        )


CHECKS: tuple[Check, ...] = (loss_has_the_role_it_states,)


def build_loss(offer: Offer) -> Any:
    """Build a loss; CheckSkipped if it has another role than it states, since it cannot be called as it should be."""
    loss = build_example(offer, LOSS_VOCABULARY)
    if find_other_role(loss, offer.component.role):
        raise CheckSkipped(f"its role is another one, see {loss_has_the_role_it_states.name}")
    return loss


def find_other_role(loss: Any, stated: str) -> str | None:
    """Return the role that a loss has by its methods and parameters if it is not the stated one, else None."""
    if all(callable(getattr(loss, player, None)) for player in PLAYERS):
        return None if stated == "adversarial" else "adversarial"
    required = _required_arguments(loss.forward if isinstance(loss, nn.Module) else loss) if callable(loss) else set()
    if stated == "unlabelled" and required & UNLABELLED_ARGUMENTS:
        return None
    is_unlabelled = required and required <= UNLABELLED_ARGUMENTS
    found = "unlabelled" if is_unlabelled else BY_NUMBER_OF_ARGUMENTS.get(len(required))
    return None if found == stated else found


def _required_arguments(function: Callable[..., Any]) -> set[str]:
    """Return the names of the parameters without a default; none where they cannot be read."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name for one in parameters if one.default is one.empty and one.kind not in variable}
