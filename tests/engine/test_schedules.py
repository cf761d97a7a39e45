from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, PolynomialLR

from segbench.engine.schedules import learning_rate_factor
from segbench.spec.protocol import Schedule

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
