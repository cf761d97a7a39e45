"""Each check of penalties catches a wrong one that no other check catches; right ones pass all."""

from __future__ import annotations

import pytest
import torch

from segbench.testing.penalties import CHECKS


def slopes(critic, field, create_graph=True):
    """Return the norm of each sample's gradient."""
    field = field.detach().requires_grad_()
    scores = critic(field)
    maps = [scores] if isinstance(scores, torch.Tensor) else scores
    total = torch.stack([one.flatten(1).mean(1) for one in maps]).mean(0).sum()
    (gradient,) = torch.autograd.grad(total, field, create_graph=create_graph)
    return gradient.flatten(1).norm(dim=1)


def plain(critic, real, fake):
    return slopes(critic, real).square().mean()


def a_value_a_sample(critic, real, fake):
    return slopes(critic, real).square()


def one_map_only(critic, real, fake):
    return slopes(lambda field: critic(field) * 1.0, real).square().mean()


def both_at_once(critic, real, fake):
    return slopes(critic, torch.cat([real, fake])).square().mean()


def not_squared(critic, real, fake):
    return (slopes(critic, real) - 1).mean()


def rewards_steepness(critic, real, fake):
    return (1 / (1e-3 + slopes(critic, real))).mean()


def without_graph(critic, real, fake):
    return slopes(critic, real, create_graph=False).square().mean()


def in_sixteen_bits(critic, real, fake):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return plain(critic, real, fake).float()


def in_float64(critic, real, fake):
    return plain(critic, real, fake).double()


def marks_the_reals(critic, real, fake):
    return plain(critic, real.requires_grad_(), fake)


def leaves_gradients(critic, real, fake):
    plain(critic, real, fake).backward()
    return plain(critic, real, fake)


def test_a_right_penalty_passes_every_check(found_by):
    assert found_by(CHECKS, "loss", lambda: plain, role="penalty") == []


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (a_value_a_sample, "penalty_is_a_scalar"),
        (one_map_only, "lists_of_score_maps_are_taken"),
        (both_at_once, "bound_condition_fits"),
        (not_squared, "penalty_is_never_negative"),
        (rewards_steepness, "steep_critics_pay_more"),
        (without_graph, "gradients_reach_the_critic"),
        (in_sixteen_bits, "critic_is_called_in_float32"),
        (in_float64, "critic_is_called_in_float32"),
        (marks_the_reals, "nothing_given_is_changed"),
        (leaves_gradients, "nothing_given_is_changed"),
    ],
)
def test_a_wrong_penalty_is_caught_by_one_check_alone(wrong, check, found_by):
    assert found_by(CHECKS, "loss", lambda: wrong, role="penalty") == [check]
