from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.spec.protocol import Augment, Budget, Optimizer, Protocol, Schedule

BUDGET = Budget(steps=1)


@pytest.mark.parametrize(
    "given", [{}, {"epochs": 1, "steps": 2}, {"epochs": 1, "seconds": 2}, {"like": "a", "epochs": 3, "in": "seconds"}]
)
def test_a_budget_is_exactly_one_of_four(given):
    with pytest.raises(ValidationError, match="give exactly one of epochs, steps, seconds, like"):
        Budget(**given)


@pytest.mark.parametrize("given", [{"like": "a"}, {"like": "a", "in": "seconds"}])
def test_a_budget_is_like_another_in_seconds(given):
    budget = Budget(**given)
    assert budget == Budget(like="a")
    assert Budget.model_validate_json(budget.model_dump_json()) == budget


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"like": "a", "in": "steps"}, r"for as many steps give their number, such as \{steps: 100\}, or leave the"),
        ({"like": "a", "in": "epochs"}, r"for as many epochs give their number"),
        ({"like": "a", "in": "hours"}, r"write \{like: METHOD, in: seconds\}; there is no 'hours' to be alike in"),
        ({"steps": 3, "in": "seconds"}, r"`in` stands beside like: \{like: METHOD, in: seconds\}"),
    ],
)
def test_a_budget_is_like_another_in_nothing_else(given, message):
    with pytest.raises(ValidationError, match=message):
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


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
def test_a_protocol_survives_being_stored(schedule):
    protocol = Protocol(budget=BUDGET, crop=(3, 4), schedule=schedule, optimizer={"use": "adam", "betas": (0.5, 0.9)})
    assert Protocol.model_validate_json(protocol.model_dump_json()) == protocol
