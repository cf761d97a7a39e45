"""A loss that states another role than it has is told its role, once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segbench.contract import ROLES
from segbench.registry import load_registry
from segbench.testing.catalogue import checks_for
from segbench.testing.check import run_check
from segbench.testing.roles import find_other_role

from .conftest import make_offer


class Supervised(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, output, target):
        return nn.functional.cross_entropy(output, target)


class Adversarial:
    def discriminator(self, real, fake):
        return fake - real

    def generator(self, fake):
        return -fake


def penalty(critic, real, fake):
    return torch.zeros(())


def entropy(logits, *, weight=1.0):
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()


LOSSES = {
    "supervised": Supervised,
    "adversarial": Adversarial,
    "penalty": lambda: penalty,
    "unlabelled": lambda: entropy,
}


@pytest.mark.parametrize(("stated", "has"), [(one, other) for one in ROLES for other in ROLES if one != other])
def test_a_loss_of_another_role_is_told_its_own_by_one_check_and_the_rest_are_skipped(stated, has):
    offer = make_offer("loss", LOSSES[has], role=stated)
    results = [run_check(check, offer) for check in checks_for(offer)]
    (failure,) = [result for result in results if result.outcome == "failed"]
    assert failure.message == (
        f"its Component states role='{stated}', but what build returns is a loss with role='{has}'; "
        f"write Component(..., role='{has}')"
    )
    assert "see loss_has_the_role_it_states" in {result.message.rpartition(", ")[2] for result in results}


def test_what_tells_no_role_has_none():
    for loss in (3, print, lambda *args: 0, lambda: 0, lambda a, b, c, d: 0):
        assert [find_other_role(loss, stated) for stated in ROLES] == [None] * 4


def test_every_loss_that_ships_has_the_role_it_states():
    for offer in load_registry().offers("loss"):
        vocabulary = {"num_classes": 4, "ignore_index": 17}
        asked = {name: vocabulary[name] for name in offer.signature.asked}
        loss = offer.component.build(**asked, **offer.component.example_options)
        assert find_other_role(loss, offer.component.role) is None, offer.full_name
