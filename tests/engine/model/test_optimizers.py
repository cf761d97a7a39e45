from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, PolynomialLR

from segbench.config.optimizer import Optimizer, Schedule
from segbench.engine.model.optimizers import build_optimizer, learning_rate_factor, set_learning_rate


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([1.0, -2.0]))


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (Optimizer(use="adamw", lr=0.1), lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01)),
        (Optimizer(use="adam", lr=0.1, betas=(0.5, 0.999)), lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.999))),
        (Optimizer(use="sgd", lr=0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (Optimizer(use="rmsprop", lr=0.1, weight_decay=0.1), lambda p: torch.optim.RMSprop(p, 0.1, weight_decay=0.1)),
    ],
    ids=["adamw", "adam", "sgd", "rmsprop"],
)
def test_steps_equal_those_of_torch(settings, reference):
    ours, theirs = parameter(), parameter()
    optimizers = build_optimizer(settings, [ours]), reference([theirs])
    for value, optimizer in zip((ours, theirs), optimizers, strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            (value**2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_frozen_parameters_are_left_out():
    frozen = parameter().requires_grad_(False)
    optimizer = build_optimizer(Optimizer(), [parameter(), frozen])
    assert len(optimizer.param_groups[0]["params"]) == 1


def test_the_learning_rate_is_set_in_every_group():
    optimizer = torch.optim.SGD([{"params": [parameter()]}, {"params": [parameter()]}], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


STEPS = 20


def torch_factors(make_scheduler) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer)
    factors = []
    for _ in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


def our_factors(schedule: Schedule) -> list[float]:
    return [learning_rate_factor(schedule, step, step / STEPS) for step in range(STEPS)]


def test_poly_equals_torch():
    expected = torch_factors(lambda optimizer: PolynomialLR(optimizer, STEPS, power=0.9))
    assert our_factors(Schedule(use="poly", power=0.9)) == pytest.approx(expected)


def test_cosine_equals_torch():
    expected = torch_factors(lambda optimizer: CosineAnnealingLR(optimizer, STEPS))
    assert our_factors(Schedule(use="cosine")) == pytest.approx(expected)


def test_constant_stays_at_one():
    assert our_factors(Schedule(use="constant")) == [1.0] * STEPS


def test_warm_up_rises_linearly_to_one():
    schedule = Schedule(use="constant", warmup_steps=4)
    assert our_factors(schedule)[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_a_budget_overrun_in_seconds_does_not_turn_the_rate_negative():
    assert learning_rate_factor(Schedule(use="poly"), 7, 1.01) == 0.0
