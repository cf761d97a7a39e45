from __future__ import annotations

from typing import get_args

import pytest

from segbench.config.recipe import Adversarial, Refines
from segbench.report.page.families import LOOKS, Family, encode_family, family_of

from .drawing import rank


def only_row(record):
    (row,) = rank(record).rows
    return row


@pytest.mark.parametrize(
    ("make", "choices", "family"),
    [
        ("trained", {}, "supervised"),
        ("adversarial", {}, "adversarial"),
        ("adversarial", {"recipe": {"placebo_of": "unet+critic"}}, "placebo"),
        ("trained", {"recipe": {"refines": Refines(method="unet")}}, "refined"),
        ("trained", {"recipe": {"tuning": {"seed": 0, "trials": {"unet/0": {}}}}}, "semi-supervised or tuned"),
        ("scored", {}, "scored only"),
    ],
)
def test_a_row_has_the_family_that_its_recipe_says(request, make, choices, family):
    assert family_of(only_row(request.getfixturevalue(make)(**choices))) == family


def test_a_placebo_is_one_whatever_else_it_is(adversarial):
    frozen = {"placebo_of": "unet+critic", "adversarial": Adversarial(use="gan/hinge", placebo="frozen")}
    assert family_of(only_row(adversarial("unet+critic~frozen", recipe=frozen))) == "placebo"


def test_no_two_families_share_a_colour_or_a_shape():
    assert set(LOOKS) == set(get_args(Family))
    assert len({look.colour for look in LOOKS.values()}) == len({look.shape for look in LOOKS.values()}) == len(LOOKS)


def test_colour_and_shape_of_a_family_are_the_same_whatever_else_is_drawn(trained, adversarial):
    both = encode_family(rank(trained(), adversarial()).rows)
    alone = encode_family(rank(adversarial()).rows)
    for channel in ("color", "shape"):
        scale = both[channel]["scale"]
        assert scale["domain"] == ["supervised", "adversarial"]
        assert alone[channel]["scale"]["range"] == [scale["range"][1]]
