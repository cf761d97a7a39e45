from __future__ import annotations

import pytest
from pydantic import ValidationError

from segbench.config.optimizer import Optimizer, Schedule
from segbench.config.protocol import Budget, TrainingProtocol

BUDGET = Budget(steps=1)


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
    protocol = TrainingProtocol(budget=BUDGET, optimizer="sgd", schedule="cosine")
    assert (protocol.optimizer.use, protocol.schedule.use) == ("sgd", "cosine")


@pytest.mark.parametrize("use", ["cosine", "constant"])
def test_only_poly_has_a_power(use):
    with pytest.raises(ValidationError, match=f"{use} has no power"):
        Schedule(use=use, power=2.0)
