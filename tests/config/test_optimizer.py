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


@pytest.mark.parametrize("use", ["cosine", "constant", "one_cycle"])
def test_only_poly_has_a_power(use):
    with pytest.raises(ValidationError, match=f"{use} has no power"):
        Schedule(use=use, power=2.0)


@pytest.mark.parametrize("use", ["poly", "constant", "one_cycle"])
def test_only_a_cosine_restarts(use):
    with pytest.raises(ValidationError, match=f"{use} has no restarts"):
        Schedule(use=use, restarts=1)


def test_an_unknown_optimiser_is_refused_with_the_nearest():
    with pytest.raises(ValidationError, match=r"'rmspop'. Did you mean 'rmsprop'\? Available: .* rmsprop, timm/NAME"):
        Optimizer(use="rmspop")


def test_options_are_for_optimisers_of_timm():
    assert Optimizer(use="timm/lamb", options={"trust_clip": True}, betas=(0.9, 0.99), momentum=0.5).options
    with pytest.raises(ValidationError, match="adamw has no options"):
        Optimizer(options={"trust_clip": True})


@pytest.mark.parametrize("use", ["sgd", "adam", "rmsprop", "timm/lion"])
def test_an_exemption_from_a_decay_that_there_is_not_is_refused(use):
    with pytest.raises(ValidationError, match=f"{use} decays no weights unless it has a weight_decay"):
        Optimizer(use=use, no_decay="norms_and_biases")
    assert Optimizer(use=use, weight_decay=0.1, no_decay="norms_and_biases").no_decay


def test_one_pattern_to_freeze_is_a_list_of_one():
    assert Optimizer(freeze="encoder.*") == Optimizer(freeze=["encoder.*"])


def test_the_order_of_patterns_to_freeze_means_nothing():
    assert Optimizer(freeze=["head.*", "encoder.*"]) == Optimizer(freeze=["encoder.*", "head.*", "head.*"])


def test_settings_of_groups_leave_no_trace_where_they_are_not_given():
    assert set(Optimizer().model_dump()) == {"use", "lr", "weight_decay", "betas", "momentum"}
    assert Optimizer(use="timm/lamb", options={}, multipliers={}, freeze=[]) == Optimizer(use="timm/lamb")
    assert set(Schedule().model_dump()) == {"use", "power", "warmup_steps"}
