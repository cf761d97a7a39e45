from __future__ import annotations

import pytest

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.timing import BUDGETS
from segbench.errors import SpecError

BUDGET = Budget(steps=1)


@pytest.mark.parametrize(("name", "budget"), [("full", "full"), ("adaptive", "adaptive")])
def test_a_timing_budget_may_be_named(name, budget):
    assert TrainingProtocol(budget=BUDGET, timing=name).timing.budget == budget


def test_timing_is_left_out_or_adaptive_by_default():
    assert TrainingProtocol(budget=BUDGET, timing="none").timing is None
    assert TrainingProtocol(budget=BUDGET).timing == BUDGETS["adaptive"]


def test_a_mapping_of_timing_counts_from_the_full_budget():
    timing = TrainingProtocol(budget=BUDGET, timing={"sweep": 4}).timing
    assert (timing.budget, timing.seconds, timing.precision) == ("full", 30, None)
    assert TrainingProtocol(budget=BUDGET, timing={"seconds": 1}).timing.budget == "reduced"


@pytest.mark.parametrize(
    ("timing", "budget"),
    [({"precision": 0.01}, "adaptive"), ({"precision": 0.1}, "reduced"), ({"method_seconds": 9}, "reduced")],
)
def test_what_is_less_precise_or_shorter_is_reduced(timing, budget):
    assert TrainingProtocol(budget=BUDGET, timing=timing).timing.budget == budget


def test_an_unknown_timing_budget_is_refused_with_the_known_ones(workshop):
    with pytest.raises(SpecError, match=r"no timing budget 'fast'\. Available: adaptive, full, none\. Or give its"):
        workshop.load(sets=["protocol.timing=fast"])
