from __future__ import annotations

import pytest
import timm.optim
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, OneCycleLR, PolynomialLR

from segbench.config.optimizer import Optimizer, Schedule
from segbench.engine.model.checkpoint import expected_optimizer_tensors, optimizer_tensors, restore_optimizer
from segbench.engine.model.optimizers import build_optimizer, learning_rate_factor, set_learning_rate
from segbench.errors import SpecError


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([1.0, -2.0]))


def holder(*parameters: torch.nn.Parameter) -> torch.nn.Module:
    return torch.nn.ParameterList(parameters)


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
    optimizers = build_optimizer(settings, holder(ours)), reference([theirs])
    for value, optimizer in zip((ours, theirs), optimizers, strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            (value**2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_frozen_parameters_are_left_out():
    optimizer = build_optimizer(Optimizer(), holder(parameter(), parameter().requires_grad_(False)))
    assert len(optimizer.param_groups[0]["params"]) == 1


def test_the_learning_rate_is_set_in_every_group():
    optimizer = torch.optim.SGD([{"params": [parameter()]}, {"params": [parameter()]}], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_a_group_with_a_multiplier_has_its_multiple_of_the_learning_rate():
    optimizer = build_optimizer(Optimizer(multipliers={"0": 0.1}), holder(parameter(), parameter()))
    set_learning_rate(optimizer, 0.5)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.05, 0.5]


def test_an_optimiser_of_timm_has_its_settings_and_those_of_timm():
    lamb = build_optimizer(Optimizer(use="timm/lamb", betas=(0.8, 0.9), options={"trust_clip": True}), small_network())
    assert type(lamb) is timm.optim.Lamb
    assert (lamb.defaults["betas"], lamb.defaults["trust_clip"], lamb.defaults["weight_decay"]) == ((0.8, 0.9), True, 0)
    assert build_optimizer(Optimizer(use="timm/sgd"), small_network()).defaults["momentum"] == 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use": "timm/lamp"}, r"use: timm has no optimiser 'lamp'. Did you mean 'timm/lamb'\? Available: timm/adabel"),
        ({"use": "timm/lookahead_adam"}, "timm has no optimiser 'lookahead_adam'"),
        ({"use": "timm/adahessian"}, "timm/adahessian takes second derivatives of the loss, which no step keeps"),
        ({"use": "timm/kron"}, "timm/kron keeps what no checkpoint can hold"),
        ({"use": "timm/fusedadam"}, "timm/fusedadam needs the library apex and a GPU"),
        ({"use": "timm/lion", "momentum": 0.9}, "timm/lion has no setting 'momentum'. Available: betas, caution"),
        ({"use": "timm/lion", "options": {"betas": [2, 3]}}, r"timm/lion does not take {'betas': .*Invalid beta"),
        ({"use": "timm/lamb", "options": {"trust": 1}}, "timm/lamb has no setting 'trust'. Did you mean 'trust_clip'"),
        (
            {"use": "timm/adan", "betas": (0.9, 0.9)},
            r"timm/adan has 3 betas; give them as options: {betas: \[\.\.\.\]}",
        ),
    ],
)
def test_what_timm_cannot_do_here_is_refused_with_what_it_can(settings, message):
    with pytest.raises(SpecError, match=message):
        build_optimizer(Optimizer(**settings), small_network())


def small_network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 40, 3), torch.nn.BatchNorm2d(40), torch.nn.Conv2d(40, 2, 1)
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)


def take_steps(network: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        set_learning_rate(optimizer, 0.01 / (step + 1))
        images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()


def usable_of_timm() -> list[str]:
    refused = ("adahessian", "kron", "bnb", "fused")
    return [name for name in timm.optim.list_optimizers() if not name.startswith(refused)]


@pytest.mark.parametrize("name", usable_of_timm())
def test_every_optimiser_of_timm_continues_from_a_checkpoint_bit_by_bit(name):
    settings = Optimizer(use=f"timm/{name}", weight_decay=0.1, no_decay="norms_and_biases", multipliers={"2.*": 0.5})
    whole, stopped, resumed = (small_network() for _ in range(3))
    take_steps(whole, build_optimizer(settings, whole), range(4))
    optimizer = build_optimizer(settings, stopped)
    take_steps(stopped, optimizer, range(2))
    # A file of weights keeps no memory format.
    kept = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in optimizer_tensors(optimizer).items()
    }
    resumed.load_state_dict(stopped.state_dict())
    optimizer = build_optimizer(settings, resumed)
    expected = expected_optimizer_tensors(optimizer, kept)
    assert {name: (one.shape, one.dtype) for name, one in expected.items()} == {
        name: (one.shape, one.dtype) for name, one in kept.items()
    }
    restore_optimizer(optimizer, kept)
    take_steps(resumed, optimizer, range(2, 4))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


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


def test_restarts_of_the_cosine_equal_torch():
    expected = torch_factors(lambda optimizer: CosineAnnealingWarmRestarts(optimizer, STEPS // 4))
    assert our_factors(Schedule(use="cosine", restarts=3)) == pytest.approx(expected)
    assert learning_rate_factor(Schedule(use="cosine", restarts=3), STEPS, 1.0) == pytest.approx(0)


def test_one_cycle_equals_torch():
    # torch counts its total one step further than the last, and the end of the rise one step less than its share.
    shares = {"total_steps": STEPS + 1, "pct_start": (0.3 * STEPS + 1) / (STEPS + 1), "cycle_momentum": False}
    expected = torch_factors(lambda optimizer: OneCycleLR(optimizer, 1.0, **shares))
    assert our_factors(Schedule(use="one_cycle")) == pytest.approx(expected)
    assert learning_rate_factor(Schedule(use="one_cycle"), STEPS, 1.0) == pytest.approx(1 / 250_000)


def test_constant_stays_at_one():
    assert our_factors(Schedule(use="constant")) == [1.0] * STEPS


def test_warm_up_rises_linearly_to_one():
    schedule = Schedule(use="constant", warmup_steps=4)
    assert our_factors(schedule)[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


@pytest.mark.parametrize("use", [{"use": "one_cycle"}, {"use": "cosine", "restarts": 1}])
def test_warm_up_multiplies_every_schedule(use):
    rises = [0.25, 0.5, 0.75, *[1.0] * (STEPS - 3)]
    expected = [rise * factor for rise, factor in zip(rises, our_factors(Schedule(**use)), strict=True)]
    assert our_factors(Schedule(**use, warmup_steps=3)) == pytest.approx(expected)


def test_a_budget_overrun_in_seconds_does_not_turn_the_rate_negative():
    assert learning_rate_factor(Schedule(use="poly"), 7, 1.01) == 0.0
