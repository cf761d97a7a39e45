"""All conformance checks, by kind of component and role of loss; importing them imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    adversarial_losses,
    any_component,
    datasets,
    discriminators,
    generators,
    losses,
    penalties,
    roles,
    unlabelled,
)

if TYPE_CHECKING:
    from segbench.registry import Offer

    from .check import Check


CHECKS_BY_ROLE = {
    "supervised": losses.CHECKS,
    "adversarial": adversarial_losses.CHECKS,
    "penalty": penalties.CHECKS,
    "unlabelled": unlabelled.CHECKS,
}

CHECKS_BY_KIND = {
    "generator": generators.CHECKS,
    "discriminator": discriminators.CHECKS,
    "dataset": datasets.CHECKS,
}


def checks_for(offer: Offer) -> tuple[Check, ...]:
    """Return the checks of a component in the order in which they should be run."""
    if offer.kind == "loss":
        return (*any_component.CHECKS, *roles.CHECKS, *CHECKS_BY_ROLE[offer.component.role])
    return (*any_component.CHECKS, *CHECKS_BY_KIND[offer.kind])
