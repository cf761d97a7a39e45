from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.spec.protocol import Augment, Budget, Optimizer, Protocol, Schedule

BUDGET = Budget(steps=1)


@pytest.mark.parametrize("given", [{}, {"epochs": 1, "steps": 2}, {"epochs": 1, "seconds": 2}])
def test_a_budget_is_exactly_one_of_three(given):
    with pytest.raises(ValidationError, match="give exactly one of epochs, steps, seconds"):
        Budget(**given)


@pytest.mark.parametrize(
    ("use", "setting", "value"),
    [
        ("sgd", "betas", (0.9, 0.99)),
        ("rmsprop", "betas", (0.9, 0.99)),
        ("adam", "momentum", 0.9),
        ("adamw", "momentum", 0.9),
    ],
)
def test_an_optimiser_takes_only_settings_that_fit(use, setting, value):
    with pytest.raises(ValidationError, match=f"{use} has no {setting}"):
        Optimizer(use=use, **{setting: value})


@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)])
def test_betas_lie_in_the_range_that_optimisers_accept(betas):
    with pytest.raises(ValidationError):
        Optimizer(use="adam", betas=betas)


def test_a_name_alone_is_an_optimiser_or_schedule():
    protocol = Protocol(budget=BUDGET, optimizer="sgd", schedule="cosine")
    assert (protocol.optimizer.use, protocol.schedule.use) == ("sgd", "cosine")


@pytest.mark.parametrize("use", ["cosine", "constant"])
def test_only_poly_has_a_power(use):
    with pytest.raises(ValidationError, match=f"{use} has no power"):
        Schedule(use=use, power=2.0)


def test_a_scale_range_goes_upwards():
    with pytest.raises(ValidationError, match="the smaller factor comes first"):
        Augment(scale=(1.5, 0.5))


@pytest.mark.parametrize("given", [{"evaluate": "val", "validations": 3}, {"evaluate": "test", "validations": 0}])
def test_the_best_is_selected_only_on_another_split_than_is_reported(given):
    with pytest.raises(ValidationError, match="select: best needs validations"):
        Protocol(budget=BUDGET, select="best", **given)


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
def test_a_protocol_survives_being_stored(schedule):
    protocol = Protocol(budget=BUDGET, crop=(3, 4), schedule=schedule, optimizer={"use": "adam", "betas": (0.5, 0.9)})
    assert Protocol.model_validate_json(protocol.model_dump_json()) == protocol
